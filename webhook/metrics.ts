import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** Why no pod came out of a request: a closed set, the label `reason` of the failure counter. */
export type FailureReason =
  'refused' | 'unreadable' | 'empty-body' | 'media-type' | 'too-large' | 'aborted' | 'internal'

/** What became of one request. A request has exactly one outcome. */
export type Outcome =
  | { readonly kind: 'success' }
  | { readonly kind: 'skip'; readonly reason: string }
  | { readonly kind: 'failure'; readonly reason: FailureReason }

/** What is read from files and may be replaced while the process runs. */
export type ReloadedThing = 'config' | 'namespaces' | 'certificate'

/** The webhook's metrics. The names of requests and outcomes are Istio's. */
export type Metrics = {
  /** Counts one request with its outcome and its duration in seconds. */
  readonly observe: (outcome: Outcome, seconds: number) => void
  /** Counts one reading of files, and remembers whether the newest was refused. */
  readonly reloaded: (what: ReloadedThing, isTaken: boolean) => void
  readonly certificateExpires: (at: Date) => void
}

/** Istio's buckets in seconds, and finer ones below them where an injection really lies. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1, 3, 5, 10, 20, 30, 60]

/** Puts the webhook's metrics into a registry of the caller's. */
export function makeMetrics(registry: Registry): Metrics {
  const registers = [registry]
  const requests = new Counter({
    name: 'sidecar_injection_requests_total',
    help: 'Requests to the injection path that were answered.',
    registers,
  })
  const success = new Counter({
    name: 'sidecar_injection_success_total',
    help: 'Requests that were answered with an injected pod.',
    registers,
  })
  const skip = new Counter({
    name: 'sidecar_injection_skip_total',
    help: 'Requests whose pod was let through as it was, by reason.',
    labelNames: ['reason'],
    registers,
  })
  const failure = new Counter({
    name: 'sidecar_injection_failure_total',
    help: 'Requests that were refused or could not be answered, by reason.',
    labelNames: ['reason'],
    registers,
  })
  const seconds = new Histogram({
    name: 'sidecar_injection_time_seconds',
    help: 'Time from the head of a request to its answer.',
    buckets: SECONDS,
    registers,
  })
  const reloads = new Counter({
    name: 'sidecar_injector_reloads_total',
    help: 'Readings of files, by what they hold and whether it was taken or refused.',
    labelNames: ['what', 'result'],
    registers,
  })
  const refused = new Gauge({
    name: 'sidecar_injector_reload_refused',
    help: '1 while the newest files were refused and the last good ones serve.',
    labelNames: ['what'],
    registers,
  })
  const expiry = new Gauge({
    name: 'sidecar_injector_certificate_expiry_timestamp_seconds',
    help: 'When the served certificate stops being valid, in seconds since 1970.',
    registers,
  })
  return {
    observe: (outcome, duration) => {
      requests.inc()
      seconds.observe(duration)
      if (outcome.kind === 'success') success.inc()
      else (outcome.kind === 'skip' ? skip : failure).inc({ reason: outcome.reason })
    },
    reloaded: (what, isTaken) => {
      reloads.inc({ what, result: isTaken ? 'taken' : 'refused' })
      refused.set({ what }, isTaken ? 0 : 1)
    },
    certificateExpires: (at) => {
      expiry.set(at.getTime() / 1000)
    },
  }
}
