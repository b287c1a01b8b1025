import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Reason } from '../core/inject/decide.ts'
import {
  METRICS,
  SECONDS,
  type EventResult,
  type FailureReason,
  type HandshakeFailure,
  type MetricRow,
  type PatchFailure,
  type ReloadedThing,
  type WatchedThing,
} from './metrics-table.ts'

/** What became of one request. A request has exactly one outcome. */
export type Outcome =
  | { readonly kind: 'success' }
  | { readonly kind: 'skip'; readonly reason: Reason }
  | { readonly kind: 'failure'; readonly reason: FailureReason }

/** What runs; each is a label. */
export type Build = {
  readonly version: string
  readonly istio_version: string
  readonly revision: string
  readonly node: string
}

/** What is asked for whenever the metrics are read, because it changes by itself. */
export type Gauged = {
  readonly inFlight: () => number
  readonly bodyBytes: () => number
  readonly isReady: () => boolean
}

/** The webhook's metrics. The names of requests and outcomes are Istio's. */
export type Metrics = {
  /** Counts one request with its outcome and its duration in seconds. */
  readonly observe: (outcome: Outcome, seconds: number) => void
  readonly handshakeFailed: (reason: HandshakeFailure) => void
  readonly answeredFromStencil: () => void
  readonly stencilsClosed: () => void
  /** Counts one reading of configuration, and remembers whether the newest was refused. */
  readonly reloaded: (what: ReloadedThing, isTaken: boolean) => void
  /** Remembers whether something in the cluster can be read. */
  readonly watching: (what: WatchedThing, isReadable: boolean) => void
  readonly certificateExpires: (at: Date) => void
  readonly caExpires: (at: Date) => void
  readonly leads: (isLeading: boolean) => void
  /** Counts for one MutatingWebhookConfiguration, by its name. */
  readonly bundlePatch: {
    readonly attempted: (name: string) => void
    readonly retried: (name: string) => void
    readonly failed: (name: string, reason: PatchFailure) => void
  }
  readonly eventCounted: (result: EventResult) => void
  readonly built: (build: Build) => void
  readonly gauge: (gauged: Gauged) => void
}

/** Puts the webhook's metrics into a registry of the caller's. */
export function makeMetrics(registry: Registry): Metrics {
  const counter = (row: MetricRow): Counter => withZeros(new Counter(options(row, registry)), row)
  const gauge = (row: MetricRow): Gauge => new Gauge(options(row, registry))
  const requests = counter(METRICS.requests)
  const success = counter(METRICS.success)
  const skip = counter(METRICS.skip)
  const failure = counter(METRICS.failure)
  const seconds = new Histogram({ ...options(METRICS.seconds, registry), buckets: [...SECONDS] })
  const handshakes = counter(METRICS.handshakes)
  const stencilAnswers = counter(METRICS.stencilAnswers)
  const stencilsClosed = gauge(METRICS.stencilsClosed)
  const reloads = counter(METRICS.reloads)
  const refused = gauge(METRICS.reloadRefused)
  const taken = gauge(METRICS.reloadTaken)
  const watchFailing = gauge(METRICS.watchFailing)
  const certificateExpiry = withoutZero(gauge(METRICS.certificateExpiry))
  const caExpiry = withoutZero(gauge(METRICS.caExpiry))
  const isLeader = gauge(METRICS.isLeader)
  const patchAttempts = counter(METRICS.patchAttempts)
  const patchRetries = counter(METRICS.patchRetries)
  const patchFailures = counter(METRICS.patchFailures)
  const events = counter(METRICS.events)
  const build = gauge(METRICS.build)
  return {
    observe: (outcome, duration) => {
      requests.inc()
      seconds.observe(duration)
      if (outcome.kind === 'success') success.inc()
      else (outcome.kind === 'skip' ? skip : failure).inc({ reason: outcome.reason })
    },
    handshakeFailed: (reason) => {
      handshakes.inc({ reason })
    },
    answeredFromStencil: () => {
      stencilAnswers.inc()
    },
    stencilsClosed: () => {
      stencilsClosed.set(1)
    },
    reloaded: (what, isTaken) => {
      reloads.inc({ what, result: isTaken ? 'taken' : 'refused' })
      refused.set({ what }, isTaken ? 0 : 1)
      if (isTaken) taken.set({ what }, Date.now() / 1000)
    },
    watching: (what, isReadable) => {
      watchFailing.set({ what }, isReadable ? 0 : 1)
    },
    certificateExpires: (at) => {
      certificateExpiry.set(at.getTime() / 1000)
    },
    caExpires: (at) => {
      caExpiry.set(at.getTime() / 1000)
    },
    leads: (isLeading) => {
      isLeader.set(isLeading ? 1 : 0)
    },
    bundlePatch: {
      attempted: (name) => {
        patchAttempts.inc({ name })
      },
      retried: (name) => {
        patchRetries.inc({ name })
      },
      failed: (name, reason) => {
        patchFailures.inc({ name, reason })
      },
    },
    eventCounted: (result) => {
      events.inc({ result })
    },
    built: (labels) => {
      build.set(labels, 1)
    },
    gauge: ({ inFlight, bodyBytes, isReady }) => {
      collected(METRICS.inFlight, registry, inFlight)
      collected(METRICS.bodyBytes, registry, bodyBytes)
      collected(METRICS.ready, registry, () => (isReady() ? 1 : 0))
    },
  }
}

type Options = {
  readonly name: string
  readonly help: string
  readonly labelNames: string[]
  readonly registers: Registry[]
}

function options({ name, help, labels = {} }: MetricRow, registry: Registry): Options {
  return { name, help, labelNames: Object.keys(labels), registers: [registry] }
}

function collected(row: MetricRow, registry: Registry, read: () => number): void {
  new Gauge({
    ...options(row, registry),
    collect() {
      this.set(read())
    },
  })
}

/** A time has no sample before it is known: 0 would be 1970. */
function withoutZero(gauge: Gauge): Gauge {
  gauge.remove()
  return gauge
}

/** Counters begin at 0 for every value of their labels: an alert sees the first step, too. */
function withZeros(counter: Counter, { labels = {} }: MetricRow): Counter {
  let combinations: readonly Record<string, string>[] = [{}]
  for (const [name, values] of Object.entries(labels)) {
    if (typeof values === 'string') return counter
    combinations = combinations.flatMap((one) => values.map((value) => ({ ...one, [name]: value })))
  }
  for (const labels of combinations) counter.inc(labels, 0)
  return counter
}
