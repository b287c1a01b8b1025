import type { Json } from '../json.ts'
import type { Pod, StringMap } from '../k8s.ts'
import type { Problem } from '../problem.ts'
import type { Verdict } from './decide.ts'
import type { Owner } from './owner.ts'

/** One pod, or pod template, on its way through a door. */
export type InjectRequest = {
  /** The pod as it came in: `metadata` and `spec`; other members are left alone. */
  readonly pod: Json
  /** Where the pod will live, when its metadata does not say. */
  readonly namespace?: string
  /** The workload that names the pod. */
  readonly owner: Owner
  /** Whether the cluster can run the proxy as a native sidecar. */
  readonly nativeSidecars: boolean
  /** The doors differ in how a ProxyConfig annotation is layered, as Istio's do. */
  readonly door: 'webhook' | 'kube-inject'
  /** Environment variables from the webhook's URL. */
  readonly proxyEnvs: StringMap
  /** Annotations of the pod's Namespace, where ids come from them (OpenShift). */
  readonly namespaceAnnotations?: StringMap
}

/** The row of the policy that spoke: its code, its sentence, and what it spoke about. */
export type Spoken = Pick<Verdict, 'reason' | 'sentence' | 'evidence'>

/**
 * What becomes of one pod. `before` is the pod as it was understood (see readPod); `pod` shares with
 * it every part that injection did not touch.
 */
export type Decision =
  | (Spoken & {
      readonly kind: 'inject'
      readonly before: Pod
      readonly pod: Pod
      /** Template names, in the order in which they were applied. */
      readonly templates: readonly string[]
      readonly warnings: readonly string[]
    })
  | (Spoken & {
      readonly kind: 'skip'
      /** The pod without the redirect plan that it brought, where it brought one: only injection writes them. */
      readonly cleaned?: { readonly before: Pod; readonly pod: Pod }
      readonly warnings: readonly string[]
    })
  | {
      readonly kind: 'reject'
      readonly problems: readonly Problem[]
      readonly warnings: readonly string[]
    }
