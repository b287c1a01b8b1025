/**
 * The Kubernetes shapes that injection reads, as types only: an admitted pod is plain JSON, and
 * what we do not touch we do not know. Fields that are Dates in the client's types are strings in
 * JSON; nothing here reads them.
 */
import type {
  V1Container,
  V1ContainerPort,
  V1EnvVar,
  V1Lifecycle,
  V1LifecycleHandler,
  V1Namespace,
  V1ObjectMeta,
  V1OwnerReference,
  V1Pod,
  V1PodSpec,
  V1Probe,
  V1SecurityContext,
  V1Volume,
  V1VolumeMount,
} from '@kubernetes/client-node'

/** A class of the client as the JSON that it stands for: no identity, nothing writable, times as texts. */
type Plain<T> = T extends Date
  ? string
  : T extends readonly (infer Item)[]
    ? readonly Plain<Item>[]
    : T extends object
      ? { readonly [Member in keyof T]: Plain<T[Member]> }
      : T

export type Pod = Plain<V1Pod>
export type PodSpec = Plain<V1PodSpec>
export type ObjectMeta = Plain<V1ObjectMeta>
export type OwnerReference = Plain<V1OwnerReference>
export type Container = Plain<V1Container>
export type ContainerPort = Plain<V1ContainerPort>
export type EnvVar = Plain<V1EnvVar>
export type Probe = Plain<V1Probe>
export type Lifecycle = Plain<V1Lifecycle>
export type LifecycleHandler = Plain<V1LifecycleHandler>
export type SecurityContext = Plain<V1SecurityContext>
export type Volume = Plain<V1Volume>
export type VolumeMount = Plain<V1VolumeMount>
export type Namespace = Plain<V1Namespace>

/** Labels or annotations. */
export type StringMap = Readonly<Record<string, string>>

/** The first item of a list with this name. */
export function byName<T extends { readonly name?: string }>(
  items: readonly T[] | null | undefined,
  name: string,
): T | undefined {
  return items?.find((item) => item.name === name)
}
