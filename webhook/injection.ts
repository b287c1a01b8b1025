import { isNativeByDefault, type NativeMode } from '../core/inject/native.ts'
import type { ProxyConfigResource } from '../core/inject/proxy-config-layers.ts'
import type { Snapshot } from './answer.ts'
import type { Namespaces } from './namespaces.ts'
import type { Part } from './part.ts'
import type { StrictNamespaces } from './pod-security.ts'
import type { Check } from './readiness.ts'

/** What requests are answered from, as far as it is known by now. */
export type Injection<Config> = {
  /** Immutable: a change makes another one. Undefined until every part was good once. */
  readonly current: () => Snapshot<Config> | undefined
  readonly checks: () => readonly Check[]
  readonly close: () => void
}

/** Whether the proxy of a pod is a native sidecar, by the node that the pod is bound to, if any. */
export type IsNative = (nodeName: string | undefined) => boolean

/** The parts; those that only a cluster has are absent without one. */
export type InjectionParts<Config> = {
  readonly config: Part<Config>
  readonly namespaces?: Part<Namespaces>
  readonly nodes?: Part<IsNative>
  readonly proxyConfigs?: Part<readonly ProxyConfigResource[]>
  /** Nothing waits for this one. */
  readonly podSecurity?: Part<StrictNamespaces>
}

/** A configuration with other ProxyConfig resources. */
export type WithProxyConfigs<Config> = (
  config: Config,
  resources: readonly ProxyConfigResource[],
) => Config

/** Puts the parts together, anew after each change of one of them. */
export function compose<Config>(
  parts: InjectionParts<Config>,
  mode: NativeMode,
  withProxyConfigs: WithProxyConfigs<Config>,
): Injection<Config> {
  const { config, namespaces, nodes, proxyConfigs, podSecurity } = parts
  const needed = [config, namespaces, nodes, proxyConfigs].filter((part) => part !== undefined)
  const all = podSecurity === undefined ? needed : [...needed, podSecurity]
  const take = (): Snapshot<Config> | undefined => {
    const taken = config.current()
    if (taken === undefined || needed.some((part) => part.current() === undefined)) return undefined
    const resources = proxyConfigs?.current()
    const annotations = namespaces?.current()
    const levels = podSecurity?.current()
    return {
      config: resources === undefined ? taken : withProxyConfigs(taken, resources),
      isNative: nodes?.current() ?? (() => isNativeByDefault(mode, [], undefined)),
      annotationsOf: (namespace) => annotations?.get(namespace),
      strictLevelOf: (namespace) => levels?.get(namespace),
    }
  }
  let current = take()
  for (const part of all) {
    part.onChange(() => {
      current = take()
    })
  }
  return {
    current: () => current,
    checks: () => all.map((part) => part.check()),
    close: () => {
      for (const part of all) part.close()
    },
  }
}
