/** The pod of the demonstration, and the requests that show its ways. */
import { PROXY_ID } from '../core/constants.ts'
import type { JsonObject } from '../core/json.ts'
import { AT } from './lab.ts'
import type { Request } from './observe.ts'
import { APP_USER, type Injection } from './sidecar.ts'

/** A request and what it shows. */
export type Shown = { readonly title: string; readonly request: Request }

/** Address of a service whose only endpoint is the pod itself, and of one with two endpoints elsewhere. */
const OWN_SERVICE = '10.96.0.80'
const BALANCED_SERVICE = '10.96.0.90'

/** The pod: what its owner wrote before it was injected. */
export const DEMO_POD: Injection = {
  mesh: 'accessLogFile: /dev/stdout\n',
  annotations: {
    'traffic.sidecar.istio.io/excludeInboundPorts': '9090',
    'traffic.sidecar.istio.io/excludeOutboundPorts': '9000',
    'traffic.sidecar.istio.io/excludeOutboundIPRanges': `${AT.v4.other}/32`,
  },
  containers: [
    {
      name: 'app',
      image: 'app',
      ports: [{ containerPort: 8080 }],
      readinessProbe: { httpGet: { path: '/ready', port: 8080 } },
    },
  ],
}

/** Ports that the application listens on. */
export const APP_PORTS: readonly number[] = [8080, 9090]
/** Ports that the servers outside listen on. */
export const SERVER_PORTS: readonly number[] = [80, 8080, 9000]

/** What istiod would tell the proxy of two services. */
export const SERVICES: readonly JsonObject[] = [
  entry('web', OWN_SERVICE, [AT.v4.pod]),
  entry('details', BALANCED_SERVICE, [AT.v4.server, AT.v4.other]),
  {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    spec: {
      host: 'details.default.svc.cluster.local',
      trafficPolicy: { loadBalancer: { simple: 'ROUND_ROBIN' } },
    },
  },
]

const CLIENT = { place: 'client' } as const
const APP = { place: 'pod', who: APP_USER } as const
const PROXY = { place: 'pod', who: { uid: PROXY_ID, gid: PROXY_ID, capabilities: [] } } as const

/** The requests, in the order in which they are shown. */
export const REQUESTS: readonly Shown[] = [
  shown('a client calls the pod', CLIENT, AT.v4.pod, 8080),
  shown('the application calls a server', APP, AT.v4.server, 80),
  shown('the application calls its own pod', APP, AT.v4.pod, 8080),
  shown('the application calls a service that it is itself', APP, OWN_SERVICE, 8080, 'web:8080'),
  shown('round robin: the first call', APP, BALANCED_SERVICE, 8080, 'details:8080'),
  shown('round robin: the second call', APP, BALANCED_SERVICE, 8080, 'details:8080'),
  shown('the proxy calls a server itself', PROXY, AT.v4.server, 80),
  shown('a client calls port 9090, which is excluded', CLIENT, AT.v4.pod, 9090),
  shown('the application calls port 9000, which is excluded', APP, AT.v4.server, 9000),
  shown('the application calls an address that is excluded', APP, AT.v4.other, 80),
  {
    title: 'the kubelet asks whether the proxy is ready',
    request: { caller: CLIENT, call: { to: AT.v4.pod, port: 15021, path: '/healthz/ready' } },
  },
  {
    title: 'the kubelet asks whether the application is ready, as injection rewrote the question',
    request: {
      caller: CLIENT,
      call: { to: AT.v4.pod, port: 15020, path: '/app-health/app/readyz' },
    },
  },
]

function shown(
  title: string,
  caller: Request['caller'],
  to: string,
  port: number,
  host?: string,
): Shown {
  const headers = host === undefined ? {} : { headers: { host } }
  return {
    title,
    request: { caller, call: { to, port, path: `/${title.replace(/\W+/g, '-')}`, ...headers } },
  }
}

function entry(name: string, address: string, endpoints: readonly string[]): JsonObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    spec: {
      hosts: [`${name}.default.svc.cluster.local`],
      addresses: [address],
      ports: [{ number: 8080, name: 'http', protocol: 'HTTP' }],
      resolution: 'STATIC',
      endpoints: endpoints.map((one) => ({ address: one })),
    },
  }
}
