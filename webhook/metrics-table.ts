/** Every metric of the webhook, as data: what is counted, and what the reference page says of it. */
import { DECISIONS } from '../core/inject/decide.ts'

/** One metric. */
export type MetricRow = {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly name: string
  readonly help: string
  /** Labels by name: all values that there can be, or in words which ones, where the set is open. */
  readonly labels?: Readonly<Record<string, readonly string[] | string>>
  /** What who knows Istio's metric of the same name should know of ours. */
  readonly istio?: string
}

/** Why no pod came out of a request, and in words; a closed set. */
export const FAILURES = {
  refused: "the pod's own text cannot be injected; it was denied with every problem",
  unreadable: 'the body is no AdmissionReview of a pod; it was denied',
  'empty-body': 'the request had no body',
  'media-type': 'the body was not said to be JSON',
  'bad-path': 'the path has an escape that is not one of UTF-8: 400',
  'too-large': 'the body is longer than the limit',
  aborted: 'the client ended or broke off before its body was there',
  overloaded:
    'too much was under way already: 503 at once on a connection that ends, so that the API server asks again, maybe elsewhere',
  late: 'the answer would have come after the timeout of who asked: 503 without the work',
  client: "the caller's certificate is missing or not one that may call: 403",
  'not-ready':
    'no configuration was there yet: 503 on a connection that ends, so that the API server asks again, maybe elsewhere',
  internal: 'a fault of this program or of its configuration: 500',
} as const

/** Why a request failed: the label `reason` of the failure counter. */
export type FailureReason = keyof typeof FAILURES

/** Why a TLS handshake failed, and in words; a closed set. */
export const HANDSHAKE_FAILURES = {
  untrusted:
    'the client does not trust the certificate that is served; of an API server, its caBundle is not right',
  broken: 'it was not TLS, not a version that is served, or the client went away',
} as const

/** The label `reason` of the failed handshakes. */
export type HandshakeFailure = keyof typeof HANDSHAKE_FAILURES

/** What is read and may be replaced while the process runs. */
export const RELOADED_THINGS = [
  'config',
  'namespaces',
  'proxyconfigs',
  'certificate',
  'ca-file',
  'client-ca-file',
] as const

export type ReloadedThing = (typeof RELOADED_THINGS)[number]

/** What is watched in a cluster. */
export const WATCHED_THINGS = [
  'mesh',
  'injector',
  'proxyconfigs',
  'nodes',
  'namespaces',
  'pod-security',
  'own-ca',
  'webhook-configurations',
] as const

export type WatchedThing = (typeof WATCHED_THINGS)[number]

/** What became of an Event that was to be written. */
export const EVENT_RESULTS = ['written', 'dropped', 'failed'] as const

export type EventResult = (typeof EVENT_RESULTS)[number]

/** Why a caBundle was not written, and in words; a closed set. */
export const PATCH_FAILURES = {
  load_ca_bundle_failure: 'there is no CA, or none that can be read',
  webhook_config_not_found: 'the configuration went away before it could be written',
  webhook_entry_not_found: 'the configuration has our label and no entry of ours',
  webhook_update_failure: 'the API server refused to list or to patch, or did not answer',
  bundle_unverifiable: 'the CA would not verify what is served under the name that is called',
} as const

/** The label `reason` of the failures to write a caBundle. */
export type PatchFailure = keyof typeof PATCH_FAILURES

/** What a configuration's name is called in labels. */
const CONFIGURATION = 'name of the MutatingWebhookConfiguration; empty when none could be listed'

/** Buckets in seconds: Istio's, and finer ones below them where an injection really lies. */
export const SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 5, 10, 20, 30, 60,
]

/** All metrics of our own; those of the Node process come from prom-client. */
export const METRICS = {
  requests: {
    type: 'counter',
    name: 'sidecar_injection_requests_total',
    help: 'Requests to the injection path that got an answer, or whose client left before it.',
  },
  success: {
    type: 'counter',
    name: 'sidecar_injection_success_total',
    help: 'Requests that were answered with an injected pod.',
    istio: 'counts every answer there, refusals and skips too',
  },
  skip: {
    type: 'counter',
    name: 'sidecar_injection_skip_total',
    help: 'Requests whose pod was let through as it was, by reason (reasons.md).',
    labels: { reason: DECISIONS.flatMap((row) => (row.outcome === 'skip' ? [row.reason] : [])) },
    istio: 'has no reason',
  },
  failure: {
    type: 'counter',
    name: 'sidecar_injection_failure_total',
    help: 'Requests that were refused or could not be answered, by reason.',
    labels: { reason: Object.keys(FAILURES) },
    istio: 'has no reason, so that a denied pod and a broken injector look alike',
  },
  seconds: {
    type: 'histogram',
    name: 'sidecar_injection_time_seconds',
    help: 'Time from the head of a request to its answer.',
    istio: 'begins at 0.1 s, above nearly every injection',
  },
  handshakes: {
    type: 'counter',
    name: 'sidecar_injector_tls_handshake_failures_total',
    help: 'TLS handshakes that failed, by reason. No request comes of them: no other metric counts them.',
    labels: { reason: Object.keys(HANDSHAKE_FAILURES) },
  },
  stencilAnswers: {
    type: 'counter',
    name: 'sidecar_injector_stencil_answers_total',
    help: 'Injected pods that were answered from a stencil of their shape.',
  },
  stencilsClosed: {
    type: 'gauge',
    name: 'sidecar_injector_stencils_closed',
    help: '1 after a stencil failed, or gave another answer than an injection: none is used any more.',
  },
  inFlight: {
    type: 'gauge',
    name: 'sidecar_injector_requests_in_flight',
    help: 'Requests that have begun to arrive and are not answered yet.',
  },
  bodyBytes: {
    type: 'gauge',
    name: 'sidecar_injector_body_bytes_in_flight',
    help: 'Bytes of bodies that are held, or announced, for these requests.',
  },
  reloads: {
    type: 'counter',
    name: 'sidecar_injector_reloads_total',
    help: 'Readings of configuration, by what was read and whether it was taken or refused.',
    labels: { what: RELOADED_THINGS, result: ['taken', 'refused'] },
  },
  reloadRefused: {
    type: 'gauge',
    name: 'sidecar_injector_reload_refused',
    help: '1 while the newest reading was refused and the last good one serves.',
    labels: { what: RELOADED_THINGS },
  },
  reloadTaken: {
    type: 'gauge',
    name: 'sidecar_injector_reload_taken_timestamp_seconds',
    help: 'When what serves now was taken, in seconds since 1970; its age is time() minus this.',
    labels: { what: RELOADED_THINGS },
  },
  watchFailing: {
    type: 'gauge',
    name: 'sidecar_injector_watch_failing',
    help: '1 while this cannot be read from the cluster, and what was read last serves.',
    labels: { what: WATCHED_THINGS },
  },
  certificateExpiry: {
    type: 'gauge',
    name: 'sidecar_injector_certificate_expiry_timestamp_seconds',
    help: 'When the served certificate stops being valid, in seconds since 1970; absent before there is one.',
  },
  caExpiry: {
    type: 'gauge',
    name: 'sidecar_injector_ca_expiry_timestamp_seconds',
    help: 'When the own CA stops being valid, in seconds since 1970; it is replaced long before. Absent without one.',
  },
  isLeader: {
    type: 'gauge',
    name: 'sidecar_injector_is_leader',
    help: '1 while this replica holds the Lease and may write.',
  },
  patchAttempts: {
    type: 'counter',
    name: 'webhook_patch_attempts_total',
    help: 'Patches of a caBundle that was not as it should be.',
    labels: { name: CONFIGURATION },
    istio: 'has the suffix of entries as the name',
  },
  patchRetries: {
    type: 'counter',
    name: 'webhook_patch_retries_total',
    help: 'Patches tried again, because the object changed meanwhile or the API server was busy.',
    labels: { name: CONFIGURATION },
  },
  patchFailures: {
    type: 'counter',
    name: 'webhook_patch_failures_total',
    help: 'Looks at a caBundle that ended with one that is not as it should be, by reason.',
    labels: { name: CONFIGURATION, reason: Object.keys(PATCH_FAILURES) },
    istio: 'also counts configurations of other revisions; here they are never looked at',
  },
  events: {
    type: 'counter',
    name: 'sidecar_injector_events_total',
    help: 'Kubernetes Events: calls that wrote one, and happenings that were dropped or given up.',
    labels: { result: EVENT_RESULTS },
  },
  ready: {
    type: 'gauge',
    name: 'sidecar_injector_ready',
    help: '1 while this replica is ready for requests.',
  },
  build: {
    type: 'gauge',
    name: 'sidecar_injector_build_info',
    help: 'Always 1; what runs is in the labels.',
    labels: {
      version: 'of this program',
      istio_version: 'of the templates: --istio-version',
      revision: 'that is served: --revision',
      node: 'version of Node',
    },
  },
} as const satisfies Readonly<Record<string, MetricRow>>
