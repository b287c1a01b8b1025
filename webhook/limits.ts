/** What clients may take. */
export type Limits = {
  /** Bytes of a body: Istio's 6 MiB, twice what an API server takes from its clients. */
  readonly bodyBytes: number
  /** Requests of all clients that are under way; what is more is told to try again. */
  readonly requests: number
  /** Bytes of the bodies of these requests. */
  readonly heldBytes: number
  /** Connections of all clients; what is more is closed at once. */
  readonly connections: number
  /** Milliseconds for a request to arrive whole: the longest timeout that a webhook can have. */
  readonly requestMs: number
  /** Milliseconds that an idle connection stays: above the 90 s of the API server's client. */
  readonly keepAliveMs: number
  /** Milliseconds between two looks for requests that take too long. */
  readonly checkMs: number
}

/** The limits where nothing else is said. */
export const LIMITS: Limits = {
  bodyBytes: 6 * 1024 * 1024,
  // About a second of work on a small machine: the one who comes last still has its answer in time.
  requests: 2000,
  heldBytes: 64 * 1024 * 1024,
  connections: 4000,
  requestMs: 30_000,
  keepAliveMs: 120_000,
  checkMs: 5_000,
}
