/** What `doctor` looked at, and how each stands. */

/** The checks, in the order in which a cause counts: what stands first explains what stands below. */
export const CHECKS = [
  { check: 'webhooks', title: 'an injector is asked' },
  { check: 'service', title: 'Service' },
  { check: 'endpoints', title: 'ready endpoints' },
  { check: 'ca-bundle', title: 'caBundle' },
  { check: 'connection', title: 'TCP and TLS' },
  { check: 'certificate', title: 'certificate and its name' },
  { check: 'ca-secret', title: 'CA in the Secret' },
  { check: 'review', title: 'dry-run review' },
  { check: 'trial', title: 'dry-run pod at the API server' },
  { check: 'two-injectors', title: 'one injector a pod' },
  { check: 'root-certificate', title: 'istio-ca-root-cert' },
  { check: 'istiod', title: 'istiod' },
  { check: 'token', title: 'token audience' },
  { check: 'pod', title: 'the pod' },
  { check: 'replicas', title: 'replicas of the webhook' },
  { check: 'network-policy', title: 'NetworkPolicies' },
  { check: 'clock', title: 'clocks' },
] as const

/** The word of a check; stable. */
export type Check = (typeof CHECKS)[number]['check']

/** One look. `unknown` is what cannot be told from here, with the permissions at hand. */
export type Finding = {
  readonly check: Check
  readonly state: 'ok' | 'not-ok' | 'unknown'
  readonly sentence: string
  /** Which webhook it is about, where it is about one. */
  readonly webhook?: string
}

/** The first finding that is not ok, by the order of the checks. */
export function firstCause(findings: readonly Finding[]): Finding | undefined {
  return CHECKS.flatMap(({ check }) =>
    findings.filter((finding) => finding.check === check && finding.state === 'not-ok'),
  )[0]
}
