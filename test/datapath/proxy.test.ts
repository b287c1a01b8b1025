/** What Envoy does by its own configuration: balancing over two endpoints, and the access log of the mesh. */
import t, { type Test } from 'tap'
import type { Answer } from '../../datapath/call.ts'
import { AT } from '../../datapath/lab.ts'
import { FIRST_PORT } from '../../datapath/observe.ts'
import { need } from '../require.ts'
import { app, client, serviceEntry } from './rows.ts'
import { datapathUnavailable, initProgram, LOGGING, setUp, type Scenario } from './scenario.ts'

const POLICIES = {
  'round-robin': { simple: 'ROUND_ROBIN' },
  'least-request': { simple: 'LEAST_REQUEST' },
  random: { simple: 'RANDOM' },
  hash: { consistentHash: { httpHeaderName: 'x-user' } },
} as const

const hosts = Object.keys(POLICIES).map((name) => `${name}.default.svc.cluster.local`)
const objects = Object.values(POLICIES).flatMap((loadBalancer, index) => {
  const host = hosts[index] ?? ''
  const endpoints = [{ address: AT.v4.server }, { address: AT.v4.other }]
  return [
    serviceEntry(host, `10.96.1.${index + 1}`, endpoints),
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      spec: { host, trafficPolicy: { loadBalancer } },
    },
  ]
})

type HeadersOf = (call: number) => Readonly<Record<string, string>>

/** Sends `count` calls to the service at that place of the list. */
async function answers(
  t: Test,
  { send }: Scenario,
  index: number,
  count: number,
  headersOf: HeadersOf = () => ({}),
): Promise<readonly Answer[]> {
  const all: Answer[] = []
  for (let call = 0; call < count; call++) {
    const headers = { host: `${hosts[index] ?? ''}:8080`, ...headersOf(call) }
    const to = `10.96.1.${index + 1}`
    const request = { caller: app, call: { to, port: 8080, headers } }
    const { answer } = await send(t, `${hosts[index] ?? ''}, call ${call}`, request)
    all.push(answer)
  }
  return all
}

t.test('load balancing over two endpoints', need(datapathUnavailable()), async (t) => {
  const scenario = await setUp(t, await initProgram(t), { objects })
  const both = ['other', 'server']
  const differing = (list: readonly string[]): readonly string[] => [...new Set(list)].sort()
  const ports: number[] = []
  // Who answered each call.
  const ask = async (...of: readonly [number, number, HeadersOf?]): Promise<readonly string[]> => {
    const all = await answers(t, scenario, ...of)
    ports.push(...all.map(({ port }) => port))
    return all.map(({ seen, status }) => seen?.by ?? `${status}`)
  }

  const turns = await ask(0, 8)
  t.strictSame(differing(turns), both, 'round robin takes both')
  t.ok(
    turns.every((one, index) => index === 0 || one !== turns[index - 1]),
    `and each in turn: ${turns.join(' ')}`,
  )
  // With no request under way both are equal: two are drawn, one of them taken. The chance to fail is 2^-23.
  t.strictSame(differing(await ask(1, 24)), both, 'least request takes both')
  const drawn = await ask(2, 24)
  t.strictSame(differing(drawn), both, 'random takes both')
  t.notOk(
    drawn.every((one, index) => index === 0 || one !== drawn[index - 1]),
    'and not in turn',
  )
  const asUser: HeadersOf = (call) => ({ 'x-user': `user-${call}` })
  const first = await ask(3, 12, asUser)
  const again = await ask(3, 12, asUser)
  t.strictSame(first, again, 'consistent hash sends a user where it went before')
  t.strictSame(differing(first), both, 'and not all users to one endpoint')
  t.equal(new Set(ports).size, ports.length, 'each from a port of its own')
  t.notOk(
    ports.some((port) => port < FIRST_PORT || port >= 32_768),
    'none that the kernel gives to others',
  )
})

/** What a mesh says of its log, and what one call to the pod must then leave in it. */
const logs: readonly {
  readonly name: string
  readonly mesh: string
  readonly check: (t: Test, lines: readonly string[]) => void
}[] = [
  {
    name: 'nothing is logged unless the mesh asks',
    mesh: '',
    check: (t, lines) => {
      t.strictSame(lines, [])
    },
  },
  {
    name: 'the custom format of the documents',
    mesh: `${LOGGING}accessLogEncoding: TEXT
accessLogFormat: |
  [%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%" %RESPONSE_CODE% retry_attempts=%UPSTREAM_REQUEST_ATTEMPT_COUNT% flags=%RESPONSE_FLAGS% details=%RESPONSE_CODE_DETAILS%
`,
    check: (t, [line = '']) => {
      t.match(
        line,
        /^\[\d{4}-[^\]]+Z\] "GET \/logged" 200 retry_attempts=1 flags=- details=via_upstream$/,
      )
    },
  },
  {
    name: 'JSON with the default fields',
    mesh: `${LOGGING}accessLogEncoding: JSON\n`,
    check: (t, [text = '{}']) => {
      const line = JSON.parse(text) as Record<string, unknown>
      t.match(line, {
        method: 'GET',
        path: '/logged',
        protocol: 'HTTP/1.1',
        response_code: 200,
        upstream_cluster: 'InboundPassthroughCluster',
        downstream_local_address: `${AT.v4.pod}:8080`,
        route_name: 'default',
      })
      t.equal(Object.keys(line).length, 24, 'every field is there, an empty one as null')
    },
  },
  {
    name: 'JSON with fields of its own, among the complaints of the proxy',
    mesh: 'accessLogFile: /dev/stderr\naccessLogEncoding: JSON\naccessLogFormat: \'{"who": "%REQ(X-WHO)%", "code": "%RESPONSE_CODE%"}\'\n',
    check: (t, [line = '{}']) => {
      t.strictSame(JSON.parse(line), { who: 'me', code: 200 })
    },
  },
]

t.test('the access log is what the mesh says', need(datapathUnavailable()), async (t) => {
  const program = await initProgram(t)
  for (const { name, mesh, check } of logs) {
    t.test(name, async (t) => {
      const { send } = await setUp(t, program, { injection: { mesh } })
      const call = { to: AT.v4.pod, port: 8080, path: '/logged', headers: { 'x-who': 'me' } }
      const { answer, lines } = await send(t, 'one call', { caller: client, call })
      t.equal(answer.status, 200)
      check(
        t,
        lines.map(({ text }) => text),
      )
    })
  }
})
