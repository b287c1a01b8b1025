/** Requests and what must become of each; the same rows for every way in which the rules can be written. */
import type { Test } from 'tap'
import type { Family } from '../../core/cidrs.ts'
import type { JsonObject } from '../../core/json.ts'
import { AT } from '../../datapath/lab.ts'
import type { Observed, Request } from '../../datapath/observe.ts'
import { APP_USER } from '../../datapath/sidecar.ts'
import type { Scenario } from './scenario.ts'

/** A request, the port that answers and its name, the address that it sees, and the clusters of Envoy on the way. */
export type Row = {
  readonly who: string
  readonly caller: Request['caller']
  readonly to: string
  readonly port: number
  readonly path?: string
  readonly want: Want
}
type Want = {
  readonly status: number | string
  readonly by?: string
  readonly source?: string
  readonly through: readonly string[]
}

export const client = { place: 'client' } as const
export const app = { place: 'pod', who: APP_USER } as const
export const proxy = { place: 'pod', who: { uid: 1337, gid: 1337, capabilities: [] } } as const

/** What every service of the tests is called by, and the addresses that stand for it. */
export const VIP = { v4: '10.96.0.80', v6: 'fd25:96::80' } as const
export const WEB = {
  v4: 'web.default.svc.cluster.local',
  v6: 'web6.default.svc.cluster.local',
} as const
export const IN = 'InboundPassthroughCluster'
export const OUT = 'PassthroughCluster'

/** A service of the pod itself, one address for each family. */
export function ownService(families: readonly Family[]): readonly JsonObject[] {
  return families.map((family) =>
    serviceEntry(WEB[family], VIP[family], [{ address: AT[family].pod }]),
  )
}

/** A ServiceEntry with one port, 8080. */
export function serviceEntry(
  host: string,
  address: string,
  endpoints: readonly JsonObject[],
): JsonObject {
  const ports = [{ number: 8080, name: 'http', protocol: 'HTTP' }]
  const spec = { hosts: [host], addresses: [address], ports, resolution: 'STATIC', endpoints }
  return { apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', spec }
}

/** Annotations that exclude what the rows below call. */
export const EXCLUDING = {
  'traffic.sidecar.istio.io/excludeInboundPorts': '9090',
  'traffic.sidecar.istio.io/excludeOutboundPorts': '9000',
  'traffic.sidecar.istio.io/excludeOutboundIPRanges': `${AT.v4.other}/32`,
} as const

/** The ways that every mode has, in one family. `inside` is what the application sees of the proxy. */
export function commonRows(family: Family): readonly Row[] {
  const { client: remote, pod, server } = AT[family]
  const inside = family === 'v4' ? '127.0.0.6' : '::6'
  const loopback = family === 'v4' ? '127.0.0.1' : '::1'
  const by = family === 'v4' ? 'server' : 'server6'
  const row = (
    who: string,
    caller: Request['caller'],
    [to, port]: readonly [string, number],
    want: Omit<Want, 'status'>,
  ): Row => ({ who: `${family}: ${who}`, caller, to, port, want: { status: 200, ...want } })
  return [
    row('inbound', client, [pod, 8080], { by: 'app', source: inside, through: [IN] }),
    row('outbound', app, [server, 80], { by, source: pod, through: [OUT] }),
    row('the app, its own pod', app, [pod, 8080], { by: 'app', source: pod, through: [] }),
    row('the app, its own service', app, [VIP[family], 8080], {
      by: 'app',
      source: inside,
      through: [`outbound|8080||${WEB[family]}`, IN],
    }),
    row('the app, loopback', app, [loopback, 8080], { by: 'app', source: loopback, through: [] }),
    row('the proxy, its own pod', proxy, [pod, 8080], { by: 'app', source: inside, through: [IN] }),
    row('the proxy, a server', proxy, [server, 80], { by, source: pod, through: [] }),
    row('an excluded inbound port', client, [pod, 9090], {
      by: 'app',
      source: remote,
      through: [],
    }),
    row('an excluded outbound port', app, [server, 9000], { by, source: pod, through: [] }),
  ]
}

/** Sends every request; each must go as its row says, besides that everybody agrees on it. */
export async function runRows(
  t: Test,
  { send }: Scenario,
  rows: readonly Row[],
): Promise<readonly Observed[]> {
  const all: Observed[] = []
  for (const { who, caller, to, port, path, want } of rows) {
    const family = to.includes(':') ? 'v6' : 'v4'
    const headers = to === VIP[family] ? { headers: { host: WEB[family] } } : {}
    const call = { to, port, ...headers, ...(path !== undefined && { path }) }
    const observed = await send(t, who, { caller, call })
    const { answer, journey } = observed
    const { by, source } = answer.seen ?? {}
    t.strictSame(
      {
        status: answer.status,
        ...(by !== undefined && { by }),
        ...(source !== undefined && { source }),
        through: journey.logged.map(({ cluster }) => cluster),
      },
      want,
      who,
    )
    all.push(observed)
  }
  return all
}
