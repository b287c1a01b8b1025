/** Variables of the proxy that say whom it trusts and who it is: the operator's to set, not a pod's text. */
import { PROXY_CONFIG_ANNOTATION } from '../constants.ts'
import { isObject, own, type Json } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import type { Problem } from '../problem.ts'
import { DATADOG_ANNOTATION } from './user-json.ts'

/**
 * Read by Istio's agent: which authority signs, with which root it is checked, by which token and as whom
 * the workload asks. PROXY_CONFIG would replace the configuration that was checked.
 */
const TRUST_ENVS: ReadonlySet<string> = new Set([
  'CA_ADDR',
  'CA_PROVIDER',
  'CA_ROOT_CA',
  'XDS_ROOT_CA',
  'ISTIOD_SAN',
  'PILOT_CERT_PROVIDER',
  'TRUST_DOMAIN',
  'JWT_POLICY',
  'TOKEN_AUDIENCES',
  'XDS_AUTH_PROVIDER',
  'CREDENTIAL_FETCHER_TYPE',
  'CREDENTIAL_IDENTITY_PROVIDER',
  'POD_NAMESPACE',
  'SERVICE_ACCOUNT',
  'PROXY_CONFIG',
])

/** Whether a variable is one of trust. */
export function isTrusted(name: string): boolean {
  return TRUST_ENVS.has(name)
}

/** The variables that a pod's proxy gets, and who may say which. */
export type TrustFacts = {
  /** Those of the pod's whole configuration. */
  readonly effective: StringMap
  /** What its annotation says of them. */
  readonly annotation: Json | undefined
  /** Those that mesh and root namespace give; asked only where it matters. */
  readonly operators: () => StringMap
  /** Those of the tracer, from an annotation. */
  readonly datadog: StringMap
}

/**
 * Variables of trust that a pod's annotations, or a ProxyConfig of its namespace, set otherwise than the
 * operator.
 */
export function findTrustChanges(facts: TrustFacts): readonly Problem[] {
  const { effective, annotation, operators, datadog } = facts
  const changed = Object.keys(effective).filter(isTrusted)
  const given = changed.length === 0 ? {} : operators()
  return [
    ...changed
      .filter((name) => effective[name] !== own(given, name))
      .map((name) => ({
        path:
          isObject(annotation) && Object.hasOwn(annotation, name)
            ? OF_POD + name
            : OF_NAMESPACE + name,
        got: effective[name] ?? '',
        want: WANT,
      })),
    ...Object.entries(datadog)
      .filter(([name]) => isTrusted(name))
      .map(([name, got]) => ({ path: `${DATADOG_ANNOTATION}: /${name}`, got, want: WANT })),
  ]
}

const OF_POD = `${PROXY_CONFIG_ANNOTATION}: proxyMetadata.`
const OF_NAMESPACE = 'ProxyConfig of the namespace: environmentVariables.'

const WANT = 'no variable that says whom the proxy trusts: mesh and values set those'
