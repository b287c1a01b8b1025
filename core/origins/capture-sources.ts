/** What the arguments of the init container, and the annotations that stand for them in CNI mode, come from. */
import { INTERCEPTION_MODE_ANNOTATION, STATUS_PORT_ANNOTATION } from '../constants.ts'
import { trafficKey } from '../inject/init-args.ts'
import {
  all,
  annotation,
  first,
  injector,
  mesh,
  NO_ITEM,
  proxyConfig,
  source,
  values,
  type Find,
} from './source.ts'

/** How traffic is captured: the annotation, else the ProxyConfig. */
export const MODE = first(annotation(INTERCEPTION_MODE_ANNOTATION), proxyConfig('interceptionMode'))

/** The agent's port: the annotation, else the values. */
export const STATUS_PORT = first(
  annotation(STATUS_PORT_ANNOTATION),
  values('global.proxy.statusPort'),
)

/** User and group of the proxy: OpenShift's namespaces give them, elsewhere they are fixed. */
export const PROXY_IDS: Find = (facts) => {
  const { config, request } = facts
  const given = Object.entries(request.namespaceAnnotations ?? {}).filter(([name]) =>
    name.startsWith('openshift.io/sa.scc.'),
  )
  if (config.platform === 'openshift' && request.door === 'webhook') {
    return given.map(([name, got]) => source('namespace', name, got))
  }
  return injector('proxy user', () => '1337')(facts, NO_ITEM)
}

/** CNI mode, in either spelling. */
export const CNI: Find = (facts, item) => {
  const isOld = facts.config.values.raw['istio_cni'] !== undefined
  return (isOld ? all(values('istio_cni'), values('pilot.cni')) : values('pilot.cni'))(facts, item)
}

const told = (name: string, fallback: string): Find =>
  first(annotation(trafficKey(name)), values(`global.proxy.${fallback}`))

const TRAFFIC: Readonly<Record<string, Find>> = {
  includeOutboundIPRanges: told('includeOutboundIPRanges', 'includeIPRanges'),
  excludeOutboundIPRanges: told('excludeOutboundIPRanges', 'excludeIPRanges'),
  includeInboundPorts: told('includeInboundPorts', 'includeInboundPorts'),
  excludeInboundPorts: all(told('excludeInboundPorts', 'excludeInboundPorts'), STATUS_PORT),
  includeOutboundPorts: told('includeOutboundPorts', 'includeOutboundPorts'),
  excludeOutboundPorts: told('excludeOutboundPorts', 'excludeOutboundPorts'),
  kubevirtInterfaces: annotation(trafficKey('kubevirtInterfaces')),
  excludeInterfaces: annotation(trafficKey('excludeInterfaces')),
}

const REROUTE = annotation('istio.io/reroute-virtual-interfaces')
const NONE: Find = () => []

/** What a flag with a value comes from. */
const FLAGS: Readonly<Record<string, Find>> = {
  '-p': mesh('proxyListenPort'),
  '-z': mesh('proxyInboundListenPort'),
  '-u': all(PROXY_IDS, MODE),
  '-m': MODE,
  '-i': TRAFFIC['includeOutboundIPRanges'] ?? NONE,
  '-x': TRAFFIC['excludeOutboundIPRanges'] ?? NONE,
  '-b': TRAFFIC['includeInboundPorts'] ?? NONE,
  '-d': TRAFFIC['excludeInboundPorts'] ?? NONE,
  '-q': TRAFFIC['includeOutboundPorts'] ?? NONE,
  '-o': TRAFFIC['excludeOutboundPorts'] ?? NONE,
  '-k': first(REROUTE, annotation(trafficKey('kubevirtInterfaces'))),
  '-c': TRAFFIC['excludeInterfaces'] ?? NONE,
}

/** What a switch, which is one argument, comes from; told by how it begins. */
const SWITCHES: Readonly<Record<string, Find>> = {
  '--log_output_level': first(
    annotation('sidecar.istio.io/agentLogLevel'),
    values('global.logging.level'),
  ),
  '--log_as_json': values('global.logAsJson'),
  '--run-validation': CNI,
  '--skip-rule-apply': CNI,
  '--force-apply': values('global.proxy_init.forceApplyIptables'),
  '--native-nftables': values('global.nativeNftables'),
}

/** What one argument comes from; the word of a flag comes from what its value comes from. */
export const INIT_ARG: Find = (facts, item) => {
  const { args } = facts.context.init
  let flag = ''
  for (let at = 0; at <= item.index; at++) {
    const arg = args[at] ?? ''
    const isWord = Object.hasOwn(FLAGS, arg)
    if (isWord && (at === item.index || at + 1 === item.index)) flag = arg
    if (isWord) at++
  }
  const word = typeof item.value === 'string' ? (item.value.split('=')[0] ?? '') : ''
  const find = FLAGS[flag] ?? SWITCHES[word]
  return find === undefined ? [] : find(facts, item)
}

/** All that the arguments come from together. */
export const INIT_ARGS: Find = all(...Object.values(FLAGS), ...Object.values(SWITCHES))

/** What one annotation of CNI mode comes from, told by its key. */
export function cniAnnotation(key: string): Find {
  const name = key.slice(trafficKey('').length)
  if (key.startsWith(trafficKey('')) && Object.hasOwn(TRAFFIC, name)) return TRAFFIC[name] ?? NONE
  switch (key) {
    case 'sidecar.istio.io/interceptionMode':
      return MODE
    case 'istio.io/reroute-virtual-interfaces':
      return REROUTE
    case 'k8s.v1.cni.cncf.io/networks':
      return all(annotation(key), CNI)
    default:
      return NONE
  }
}
