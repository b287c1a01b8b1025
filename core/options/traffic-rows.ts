import { readCidrs, readCidrsOrAll } from '../cidrs.ts'
import { INTERCEPTION_MODE_ANNOTATION, REDIRECT_PLAN_ANNOTATION } from '../constants.ts'
import { readInterfaces } from '../interfaces.ts'
import { readPortRanges, readPorts } from '../ports.ts'
import { readMode, readPortsOrAll } from './annotation-readers.ts'
import type { AnnotationRow } from './annotations.ts'

const PORTS = 'ports from 0 to 65535, separated by commas'
const CIDRS =
  'address ranges such as `10.0.0.0/8` or `fd00::/8`, separated by commas, without blanks'
const INTERFACES = 'interface names of at most 15 characters, separated by commas'

/** What steers the capture of traffic. */
export const TRAFFIC: readonly AnnotationRow[] = [
  {
    key: INTERCEPTION_MODE_ANNOTATION,
    on: 'annotation',
    takes: '`REDIRECT`, `TPROXY` or `NONE`',
    default: '`interceptionMode` of ProxyConfig, which is REDIRECT',
    effect: 'how inbound connections reach the proxy; NONE captures nothing',
    read: readMode,
  },
  {
    key: 'traffic.sidecar.istio.io/includeInboundPorts',
    on: 'annotation',
    takes: `${PORTS}, or \`*\`; empty captures none`,
    default: '`global.proxy.includeInboundPorts`, which is `*`',
    effect: 'inbound ports that the proxy takes',
    read: readPortsOrAll,
  },
  {
    key: 'traffic.sidecar.istio.io/excludeInboundPorts',
    on: 'annotation',
    takes: PORTS,
    default: '`global.proxy.excludeInboundPorts`',
    effect: 'inbound ports left alone, where all are captured',
    read: readPorts,
  },
  {
    key: 'traffic.sidecar.istio.io/includeOutboundPorts',
    on: 'annotation',
    takes: 'ports or ranges such as `8000-8100`, separated by commas',
    default: '`global.proxy.includeOutboundPorts`',
    effect: 'outbound ports that the proxy takes, whatever the address',
    read: readPortRanges,
  },
  {
    key: 'traffic.sidecar.istio.io/excludeOutboundPorts',
    on: 'annotation',
    takes: PORTS,
    default: '`global.proxy.excludeOutboundPorts`',
    effect: 'outbound ports left alone',
    read: readPorts,
  },
  {
    key: 'traffic.sidecar.istio.io/includeOutboundIPRanges',
    on: 'annotation',
    takes: `${CIDRS}, or \`*\`; empty captures none`,
    default: '`global.proxy.includeIPRanges`, which is `*`',
    effect: 'outbound addresses that the proxy takes',
    read: readCidrsOrAll,
  },
  {
    key: 'traffic.sidecar.istio.io/excludeOutboundIPRanges',
    on: 'annotation',
    takes: CIDRS,
    default: '`global.proxy.excludeIPRanges`',
    effect: 'outbound addresses left alone',
    read: readCidrs,
  },
  {
    key: 'traffic.sidecar.istio.io/excludeInterfaces',
    on: 'annotation',
    takes: INTERFACES,
    default: '',
    effect: 'interfaces whose traffic is left alone',
    read: readInterfaces,
  },
  {
    key: 'istio.io/reroute-virtual-interfaces',
    on: 'annotation',
    takes: INTERFACES,
    default: '',
    effect:
      'interfaces, of virtual machines for instance, whose inbound traffic counts as outbound',
    read: readInterfaces,
  },
  {
    key: 'traffic.sidecar.istio.io/kubevirtInterfaces',
    on: 'annotation',
    takes: INTERFACES,
    default: '',
    effect: 'the older spelling of `istio.io/reroute-virtual-interfaces`, which wins',
    read: readInterfaces,
  },
  {
    key: 'k8s.v1.cni.cncf.io/networks',
    on: 'annotation',
    takes: 'names separated by commas, or a JSON list; a list that cannot be read is left alone',
    default: '',
    effect: 'gets `default/istio-cni` added where `pilot.cni.provider` is `multus`',
  },
  {
    key: REDIRECT_PLAN_ANNOTATION,
    on: 'annotation',
    takes: 'JSON, written by the injector, which overwrites or removes any other text',
    default: '',
    effect:
      'with `pilot.cni.enabled` and `sidecarInjector.cniAnnotation`: what the node needs to write the rules',
  },
]
