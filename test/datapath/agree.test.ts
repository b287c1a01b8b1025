/** The judge of a request notices every disagreement: of counters, of the log, of the application. */
import t from 'tap'
import { DEFAULT_TEXT_FORMAT, type AccessLog } from '../../core/bootstrap/access-log.ts'
import { readProxy } from '../../core/bootstrap/from-pod.ts'
import { readRestore } from '../../core/rules/read-iptables.ts'
import { readAccessLine } from '../../datapath/access-line.ts'
import { compare } from '../../datapath/agree.ts'
import type { Answer } from '../../datapath/call.ts'
import { grownRules, type Grown } from '../../datapath/counters.ts'
import { predict, type Journey } from '../../datapath/journey.ts'
import { AT } from '../../datapath/lab.ts'
import { APP_USER, inject, ok } from '../../datapath/sidecar.ts'
import { LOGGING } from './scenario.ts'

const { pod: POD, server: SERVER } = AT.v4

/** Rules with their counters: outbound capture that spares uid 1337, and one more rule that nobody meets. */
function rulesWith([output, spared, captured, redirected, other]: readonly number[]) {
  const text = `*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:ISTIO-OUTPUT - [0:0]
:ISTIO-REDIRECT - [0:0]
[${other}:0] -A PREROUTING -p tcp -j RETURN
[${output}:0] -A OUTPUT -j ISTIO-OUTPUT
[${spared}:0] -A ISTIO-OUTPUT -m owner --uid-owner 1337 -j RETURN
[${captured}:0] -A ISTIO-OUTPUT -j ISTIO-REDIRECT
[${redirected}:0] -A ISTIO-REDIRECT -p tcp -j REDIRECT --to-ports 15001
COMMIT
`
  return ok(readRestore(text))
}

const ZERO = rulesWith([0, 0, 0, 0, 0])
const grownTo = (counts: readonly number[]): readonly Grown[] => grownRules(ZERO, rulesWith(counts))

/** A request of the application to a server, by a proxy of that user in a mesh of that kind. */
function journeyOf(uid: number, mesh = LOGGING): Journey {
  const { pod, config } = inject({ mesh })
  const proxy = ok(readProxy(pod, config.mesh, { addresses: [POD] }))
  const proxyUser = { uid, gid: uid }
  const world = { rules: ZERO, proxy, proxyUser, services: [], probed: new Map() }
  const asked = { to: { address: SERVER, port: 80 }, protocol: 'tcp', path: '/a' } as const
  return predict(world, { place: 'pod', who: APP_USER }, asked)
}

const TEXT =
  `[2026-11-21T06:45:13.511Z] "GET /a HTTP/1.1" 200 - via_upstream - "-" 0 186 1 0 "-" "-" "id-1" "${SERVER}" ` +
  `"${SERVER}:80" PassthroughCluster ${POD}:50002 ${SERVER}:80 ${POD}:50001 - allow_any`
/** As Envoy logs a connection that its caller closed before it was served. */
const HUNG_UP = `[2026-11-21T10:46:52.451Z] "- - -" 0 UH - - "-" 0 0 100 - "-" "-" "-" "-" "-" BlackHoleCluster - 127.0.0.1:15001 ${POD}:39988 - -`
const format: AccessLog['format'] = { encoding: 'TEXT', text: DEFAULT_TEXT_FORMAT }
const said = (text: string) => ({ text, said: readAccessLine(format, text) })

const answer: Answer = {
  ...{ address: POD, port: 50001, status: 200, body: '' },
  seen: { by: 'server', port: 80, source: POD, local: SERVER, path: '/a', requestId: 'id-1' },
}
const { seen, ...blind } = answer
const AGREED = [2, 1, 1, 1, 0]

/** What is not as it should be, and all that is said of it. */
const rows: readonly {
  readonly name: string
  readonly counts?: readonly number[]
  readonly lines?: readonly string[]
  readonly answer?: Answer
  readonly mesh?: string
  readonly says: readonly string[]
}[] = [
  { name: 'nothing', says: [] },
  {
    name: 'a rule counted one too many',
    counts: [2, 1, 1, 2, 0],
    says: ['rule nat ISTIO-REDIRECT 1: the tracer expects 1 packets, the kernel counted 2'],
  },
  {
    name: 'a rule counted one too few',
    counts: [1, 1, 1, 1, 0],
    says: ['rule nat OUTPUT 1: the tracer expects 2 packets, the kernel counted 1'],
  },
  {
    name: 'a rule counted that the packet does not meet',
    counts: [2, 1, 1, 1, 1],
    says: ['rule nat PREROUTING 1: the tracer expects 0 packets, the kernel counted 1'],
  },
  { name: 'no line', lines: [], says: ['access log: 1 lines expected, 0 written'] },
  {
    name: 'a line too many',
    lines: [TEXT, TEXT],
    says: ['access log: 1 lines expected, 2 written'],
  },
  {
    name: 'a line of another format',
    lines: ['GET /a'],
    says: ['access log: a line that is not of its format: GET /a'],
  },
  {
    name: 'a line where the mesh asks for no log',
    mesh: '',
    says: ['access log: 0 lines expected, 1 written'],
  },
  {
    name: 'another source than the application may see',
    answer: { ...blind, ...(seen !== undefined && { seen: { ...seen, source: '10.9.9.9' } }) },
    says: [`the application saw 10.9.9.9, the tracer expects ${POD}`],
  },
  {
    name: 'a request that came without Envoy',
    answer: {
      ...blind,
      seen: { by: 'server', port: 80, source: POD, local: SERVER, path: '/a' },
    },
    says: ['the request did not come through an Envoy'],
  },
  ...(
    [
      ['path', '/a ', '/b ', '/a'],
      ['status', ' 200 ', ' 503 ', '200'],
      ['route', 'allow_any', 'block_all', 'allow_any'],
      ['original destination', ` ${SERVER}:80 `, ' 10.9.9.9:80 ', `${SERVER}:80`],
      ['caller', ':50001 ', ':50009 ', `${POD}:50001`],
      ['upstream', `"${SERVER}:80"`, '"10.9.9.9:80"', `${SERVER}:80`],
      ['own address', ` ${POD}:50002`, ' 10.9.9.9:50002', `${POD}:`],
      ['request id', 'id-1', 'id-2', 'id-1'],
    ] as const
  ).map(([field, right, wrong, want]) => ({
    name: `a line with another ${field}`,
    lines: [TEXT.replace(right, wrong)],
    says: [
      `access log of PassthroughCluster: ${field} is ${wrong.replaceAll(/[" ]/g, '').replace(/^:/, `${POD}:`)}, expected ${want}`,
    ],
  })),
  {
    name: 'a line of another cluster',
    lines: [TEXT.replace('PassthroughCluster', 'BlackHoleCluster')],
    says: ['access log: no line of PassthroughCluster'],
  },
]

t.test('one request', async (t) => {
  for (const { name, counts = AGREED, lines = [TEXT], mesh, says, ...row } of rows) {
    const journey = journeyOf(1337, mesh)
    const found = compare(journey, row.answer ?? answer, grownTo(counts), lines.map(said))
    t.strictSame(found, says, name)
  }
})

t.test('a circle', async (t) => {
  const journey = journeyOf(1338)
  t.equal(journey.circle, 1, 'a proxy that is not spared comes back to itself')
  const line = (from: number, to: number): string =>
    TEXT.replace(':50001 ', `:${from} `).replace(':50002 ', `:${to} `).replace(' 200 -', ' 0 DC')
  const lost: Answer = { ...blind, status: 'timeout' }
  const chain = [line(50001, 50002), line(50002, 50003), line(50003, 50004)]
  for (const [name, counts, lines, says] of [
    ['three rounds', [4, 0, 4, 4, 0], chain, []],
    [
      'a counter off by one',
      [4, 0, 4, 5, 0],
      chain,
      [/OUTPUT 1: .* 5 packets, .* 4$/, /ISTIO-OUTPUT 2: .* 5 .* 4$/],
    ],
    ['the last one unserved', [4, 0, 4, 4, 0], chain.slice(0, 2), []],
    ['the last one hung up', [4, 0, 4, 4, 0], [...chain.slice(0, 2), HUNG_UP], []],
    [
      'one too many hung up',
      [4, 0, 4, 4, 0],
      [...chain, HUNG_UP],
      [/^access log: 1 connections more/],
    ],
    [
      'two hung up',
      [4, 0, 4, 4, 0],
      [...chain.slice(0, 2), HUNG_UP, HUNG_UP],
      [/^access log: 2 connections more/],
    ],
    ['lines are missing', [4, 0, 4, 4, 0], chain.slice(0, 1), [/^access log: 3 connections .* 1/]],
    [
      'a line in the middle is missing',
      [4, 0, 4, 4, 0],
      [line(50001, 50002), line(50003, 50004)],
      [/^access log: 2 lines, .* 1 are$/, /^access log: 3 connections .* 1/],
    ],
    [
      'a line of another request',
      [4, 0, 4, 4, 0],
      [...chain, line(50009, 50010)],
      [/^access log: 4 lines, .* 3 are$/],
    ],
  ] as const) {
    const found = compare(journey, lost, grownTo(counts), lines.map(said))
    t.equal(found.length, says.length, `${name}: ${found.join('; ')}`)
    t.match(found, says, name)
  }
})

t.test('lines of other formats', async (t) => {
  const custom: AccessLog['format'] = { encoding: 'TEXT', text: '%RESPONSE_CODE%|%REQ(X-A)%' }
  t.strictSame(readAccessLine(custom, '200|b c'), { status: '200' })
  t.equal(readAccessLine(custom, '200'), undefined)
  const fields = { code: '%RESPONSE_CODE%', host: '%UPSTREAM_HOST%', both: '%A%/%B%' }
  const json: AccessLog['format'] = { encoding: 'JSON', fields }
  const read = readAccessLine(json, '{"both":"1/2","code":200,"host":null}')
  t.strictSame(read, { status: '200', upstreamHost: '-' })
  t.equal(readAccessLine(json, '{"code":200,"host":null}'), undefined, 'a field is missing')
  t.equal(readAccessLine(json, '[warning] no request'), undefined)
})
