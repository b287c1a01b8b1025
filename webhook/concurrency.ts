/** How much may be under way at once: what is more is refused at its head, which is cheap. */

/** Bounds over all clients together. */
export type LoadLimits = {
  /** Requests that have begun to arrive and are not answered. */
  readonly requests: number
  /** Bytes of bodies held for them. */
  readonly heldBytes: number
}

/** What is under way. */
export type Load = {
  /** Lets a request in; undefined when there are too many. */
  readonly enter: () => Place | undefined
  readonly requests: () => number
  readonly heldBytes: () => number
}

/** The place of one request. */
export type Place = {
  /** Counts bytes that came; false when they are too many for all together. */
  readonly hold: (bytes: number) => boolean
  /** Gives everything back; a second time does nothing. */
  readonly leave: () => void
}

/** Counts what is under way. */
export function makeLoad(limits: LoadLimits): Load {
  let requests = 0
  let heldBytes = 0
  return {
    requests: () => requests,
    heldBytes: () => heldBytes,
    enter: () => {
      if (requests >= limits.requests) return undefined
      requests += 1
      let held = 0
      let isHere = true
      return {
        hold: (bytes) => {
          if (!isHere || heldBytes + bytes > limits.heldBytes) return false
          held += bytes
          heldBytes += bytes
          return true
        },
        leave: () => {
          if (!isHere) return
          isHere = false
          requests -= 1
          heldBytes -= held
        },
      }
    },
  }
}
