import type { Json } from '../../core/json.ts'
import { ANNOTATIONS_CAPABILITY, DNS_CAPABILITY } from '../netconf.ts'
import { SETTINGS } from '../options.ts'
import type { Entry } from './insert.ts'
import type { Settings } from './settings.ts'

/** Where the plugin learns of a pod, and the host's path of its credentials where it asks for it. */
export type PodSource =
  { readonly kind: 'annotations' } | { readonly kind: 'api'; readonly kubeconfig: string }

/** Our entry in a list of plugins. Everything that the plugin is told is in it. */
export function buildEntry(settings: Settings, source: PodSource): Entry {
  const { podNamespace, daemonSet, toolDirs } = settings
  const said: readonly (readonly [key: string, value: Json | undefined])[] = [
    [SETTINGS.podSource.key, source.kind],
    [SETTINGS.kubeconfig.key, source.kind === 'api' ? source.kubeconfig : undefined],
    [SETTINGS.runDir.key, settings.runDir],
    [SETTINGS.logLevel.key, settings.pluginLogLevel],
    [SETTINGS.excludeNamespaces.key, settings.excludeNamespaces],
    [SETTINGS.onError.key, settings.onError],
    [SETTINGS.iptablesMode.key, settings.iptablesMode],
    [SETTINGS.ipv6.key, settings.ipv6],
    [SETTINGS.toolDirs.key, toolDirs.length === 0 ? undefined : toolDirs],
    [SETTINGS.agentNamespace.key, podNamespace],
    [SETTINGS.agentPodPrefix.key, daemonSet === undefined ? undefined : `${daemonSet}-`],
  ]
  return {
    type: settings.pluginName,
    // Asked for in both cases: where a runtime hands annotations over, the API server is spared.
    capabilities: { [ANNOTATIONS_CAPABILITY]: true, [DNS_CAPABILITY]: true },
    ...Object.fromEntries(said.filter(([, value]) => value !== undefined)),
  }
}
