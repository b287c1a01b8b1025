import type { StringMap } from '../../k8s.ts'

/** A level of the Pod Security Standards that forbids anything. */
export type Level = 'baseline' | 'restricted'

/** A level and the minor version of Kubernetes 1 whose rules are meant. */
export type Policy = { readonly level: Level; readonly minor: number }

/** What happens to pods that do not meet a level: refused, or told about. */
export type Mode = 'enforce' | 'warn' | 'audit'

/** The newest rules that are known here. */
const LATEST_MINOR = 36

/** The policy of a namespace by its labels; nothing for `privileged`, no label, or a text that is no level. */
export function policyOf(labels: StringMap, mode: Mode): Policy | undefined {
  const level = labels[`pod-security.kubernetes.io/${mode}`]
  if (level !== 'baseline' && level !== 'restricted') return undefined
  const version = labels[`pod-security.kubernetes.io/${mode}-version`]
  const minor = /^v1\.(\d{1,3})$/.exec(version ?? '')?.[1]
  return { level, minor: minor === undefined ? LATEST_MINOR : Number(minor) }
}
