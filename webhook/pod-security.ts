/** What PodSecurity admission will say of an injected pod, which only it may refuse and nobody explains. */
import { INIT_CONTAINER, PROXY_CONTAINER } from '../core/constants.ts'
import { isObject, type JsonObject } from '../core/json.ts'
import type { Pod } from '../core/k8s.ts'

/** A level that a namespace enforces and that forbids the capabilities of the init container. */
export type StrictLevel = (typeof STRICT_LEVELS)[number]

/** Namespaces that enforce such a level, by name. */
export type StrictNamespaces = ReadonlyMap<string, StrictLevel>

const STRICT_LEVELS = ['baseline', 'restricted'] as const
const ENFORCE_LABEL = 'pod-security.kubernetes.io/enforce'
/** Beyond what `baseline` lets a container add (Kubernetes, Pod Security Standards). */
const FORBIDDEN = ['NET_ADMIN', 'NET_RAW']
const OURS = [INIT_CONTAINER, PROXY_CONTAINER]

/** The level in the metadata of a namespace; undefined where none forbids anything of ours. */
export function strictLevelOf({ labels }: JsonObject): StrictLevel | undefined {
  const level = isObject(labels) ? labels[ENFORCE_LABEL] : undefined
  return STRICT_LEVELS.find((one) => one === level)
}

/** The warning for an injected pod that its namespace will refuse, with what helps. */
export function podSecurityWarning(
  pod: Pod,
  namespace: string,
  level: StrictLevel,
): string | undefined {
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]
  // What the application's own containers ask for, CNI mode does not change.
  const refused = containers.find(
    ({ name, securityContext }) =>
      OURS.includes(name) &&
      securityContext?.capabilities?.add?.some((one) => FORBIDDEN.includes(one)),
  )
  if (refused === undefined) return undefined
  const capabilities = refused.securityContext?.capabilities?.add ?? []
  return (
    `namespace ${namespace} enforces PodSecurity ${level}, which refuses ${refused.name} with ` +
    `${capabilities.join(' and ')}: install the CNI plugin and set pilot.cni.enabled, so that pods need neither`
  )
}
