import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createServer as createSocketServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Failure, CODES } from '../../cni-plugin/codes.ts'
import { credentialTrouble, readKubeconfig } from '../../cni-plugin/kubeconfig.ts'
import { fetchPod } from '../../cni-plugin/pod.ts'
import { makeThrowaway } from '../../webhook/tls/authority.ts'

const WANTED = { namespace: 'default', name: 'web', uid: 'u1' }
const POD = { kind: 'Pod', metadata: { name: 'web', uid: 'u1' }, spec: {} }
const SECRET = 'token-that-nobody-may-see'

const { pair, ca } = await makeThrowaway(['localhost'], new Date())
const folder = mkdtempSync(join(tmpdir(), 'cni-pod-'))
t.teardown(() => {
  rmSync(folder, { recursive: true })
})

type Answer = (request: IncomingMessage, response: ServerResponse, count: number) => void

/** An API server, and who asked it. */
type Stand = {
  readonly port: number
  readonly kubeconfig: string
  readonly seen: IncomingMessage[]
  answer: Answer
}

async function makeStand(name: string): Promise<Stand> {
  const seen: IncomingMessage[] = []
  const server = createServer(pair, (request, response) => {
    stand.answer(request, response, seen.push(request))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const stand: Stand = { port, kubeconfig: join(folder, name), seen, answer: () => undefined }
  return stand
}

const usual = await makeStand('kubeconfig')
const { port, kubeconfig, seen } = usual

type Auth = {
  readonly cluster?: object
  readonly user?: object
  readonly stand?: Stand
  readonly port?: number
}

function writeKubeconfig({
  cluster = {},
  user = { token: SECRET },
  stand = usual,
  port: at = stand.port,
}: Auth = {}): void {
  const own = {
    server: `https://localhost:${at}`,
    'certificate-authority-data': Buffer.from(ca).toString('base64'),
    ...cluster,
  }
  const config = {
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    clusters: [{ name: 'k', cluster: own }],
    users: [{ name: 'u', user }],
  }
  writeFileSync(stand.kubeconfig, JSON.stringify(config), { mode: 0o600 })
}

/** What a look-up came to: the pod, or the code and the message. `budget` in milliseconds. */
async function look(how: Answer, budget = 3_000, wanted = WANTED, stand = usual) {
  stand.answer = how
  stand.seen.length = 0
  const lines: string[] = []
  // Two attempts that never end have room in a budget; an answer comes long before.
  const lookup = {
    kubeconfig: stand.kubeconfig,
    lookupTimeout: budget,
    attemptTimeout: budget * 0.4,
  }
  try {
    const pod = await fetchPod(wanted, lookup, (...line) => lines.push(JSON.stringify(line)))
    return { pod, code: 0, message: '', count: stand.seen.length, lines }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const { code } = CODES[error.kind]
    return { pod: undefined, code, message: error.message, count: stand.seen.length, lines }
  }
}

const say =
  (status: number, body: unknown = {}, headers: Record<string, string> = {}): Answer =>
  (_request, response) => {
    response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body))
  }

t.beforeEach(() => {
  writeKubeconfig()
})

t.test('one GET with the token, and nothing of the environment', async (t) => {
  process.env['HTTPS_PROXY'] = 'http://127.0.0.1:1'
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '1'
  t.teardown(() => {
    delete process.env['HTTPS_PROXY']
    delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
  })
  t.strictSame((await look(say(200, POD))).pod, POD)
  t.equal(seen.length, 1)
  t.match(seen[0], { method: 'GET', url: '/api/v1/namespaces/default/pods/web' })
  t.equal(seen[0]?.headers.authorization, `Bearer ${SECRET}`)
  await look(say(200, POD), 3_000, { ...WANTED, namespace: 'a/../b', name: 'x?y#z' })
  t.equal(
    seen[0]?.url,
    '/api/v1/namespaces/a%2F..%2Fb/pods/x%3Fy%23z',
    'names cannot leave their place',
  )
})

const faults: readonly (readonly [
  name: string,
  how: Answer,
  code: number,
  says: RegExp,
  least: number,
])[] = [
  ['401', say(401), 11, /agent credentials rejected/, 2],
  ['403', say(403), 100, /forbidden/, 1],
  ['404', say(404), 100, /not found/, 2],
  ['429', say(429), 11, /answered 429/, 2],
  ['500', say(500), 11, /answered 500/, 2],
  ['302 is not followed', say(302, '', { location: 'https://localhost/' }), 11, /answered 302/, 2],
  ['garbage', say(200, '<html>'), 11, /what is no pod/, 2],
  ['another kind', say(200, { kind: 'Status', metadata: {} }), 11, /what is no pod/, 2],
  ['a pod that is cut off', say(200, JSON.stringify(POD).slice(0, -9)), 11, /what is no pod/, 2],
  ['an older pod of that name', say(200, { ...POD, metadata: { uid: 'u0' } }), 11, /older pod/, 2],
  [
    'an endless answer',
    (_request, response) => void response.end('x'.repeat(5_000_000)),
    100,
    /above 4194304 bytes/,
    1,
  ],
  ['never an answer', () => undefined, 11, /no answer/, 2],
  [
    'half an answer',
    (_request, response) => void response.writeHead(200).write('{'),
    11,
    /no answer/,
    2,
  ],
  ['a cut connection', (request) => void request.socket.destroy(), 11, /no answer/, 2],
]

t.test('faults of the API server end within the budget', async (t) => {
  const judged = faults.map(async ([name, how, code, says, least], index) => {
    const stand = await makeStand(`kubeconfig-${index}`)
    writeKubeconfig({ stand })
    const result = await look(how, 3_000, WANTED, stand)
    t.equal(result.code, code, `${name}: ${result.message}`)
    t.match(result.message, says, name)
    t.ok(result.count >= least, `${name}: ${result.count} attempts`)
    const told = result.lines.join() + result.message
    t.notMatch(told, new RegExp(SECRET), `${name}: no token in the log`)
  })
  await Promise.all(judged)
})

t.test('nobody listens, and somebody else listens', async (t) => {
  writeKubeconfig({ port: 1 })
  t.match(await look(say(200, POD)), { code: 11, message: /ECONNREFUSED/ })
  const mute = createSocketServer(() => undefined)
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    mute.close()
  })
  writeKubeconfig({ port: (mute.address() as AddressInfo).port })
  t.match(await look(say(200, POD)), { code: 11, message: /no answer/ })
})

t.test('it goes on as soon as the API server does', async (t) => {
  const third: Answer = (request, response, nth) => {
    say(nth < 3 ? 503 : 200, POD)(request, response, nth)
  }
  t.match(await look(third, 5_000), { pod: POD, count: 3 })
  const later = await look(say(429, {}, { 'retry-after': '30' }), 5_000)
  t.match(
    later,
    { code: 11, count: 1 },
    'asked to wait for longer than there is time: no second attempt',
  )
})

t.test('a token that is renewed meanwhile counts', async (t) => {
  writeFileSync(join(folder, 'token'), 'old\n')
  writeKubeconfig({ user: { tokenFile: 'token' } })
  const result = await look((request, response, nth) => {
    writeFileSync(join(folder, 'token'), 'new\n')
    say(request.headers.authorization === 'Bearer new' ? 200 : 401, POD)(request, response, nth)
  }, 5_000)
  t.match(result, { pod: POD, count: 2 })
})

t.test('a pod of a file on the node has another uid in the API', async (t) => {
  const mirror = {
    ...POD,
    metadata: { uid: 'other', annotations: { 'kubernetes.io/config.mirror': 'x' } },
  }
  t.strictSame((await look(say(200, mirror))).pod, mirror)
})

t.test('the server must be who it says', async (t) => {
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
  t.teardown(() => {
    delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
  })
  writeKubeconfig({ cluster: { server: `https://127.0.0.1:${port}` } })
  t.match(await look(say(200, POD)), { code: 11, count: 0, message: /altnames|does not match/ })
  writeKubeconfig({
    cluster: { server: `https://127.0.0.1:${port}`, 'tls-server-name': 'localhost' },
  })
  t.strictSame((await look(say(200, POD))).pod, POD, 'under the name that the kubeconfig gives')
  const { ca: other } = await makeThrowaway(['localhost'], new Date())
  writeFileSync(join(folder, 'ca.crt'), other)
  const file = { 'certificate-authority-data': undefined, 'certificate-authority': 'ca.crt' }
  writeKubeconfig({ cluster: file })
  t.match(await look(say(200, POD)), { code: 11, count: 0 }, 'signed by somebody else')
  writeFileSync(join(folder, 'ca.crt'), ca)
  t.strictSame((await look(say(200, POD))).pod, POD, 'a CA in a file')
})

t.test('a kubeconfig that cannot be used is told without what stands in it', async (t) => {
  const cases = [
    ['', /no JSON object/],
    [`{"token":"${SECRET}`, /no JSON object/],
    ['{}', /no current context/],
    [`apiVersion: v1\ntoken: ${SECRET}\n`, /no JSON object/],
  ] as const
  for (const [content, says] of cases) {
    writeFileSync(kubeconfig, content)
    t.throws(() => readKubeconfig(kubeconfig), { message: says })
    t.notMatch(credentialTrouble(kubeconfig, 0), new RegExp(SECRET))
  }
  rmSync(kubeconfig)
  t.match(await look(say(200, POD)), { code: 11, message: /cannot be read \(ENOENT\)/ })
  const claims = Buffer.from('{"exp":1000}').toString('base64url')
  writeKubeconfig({ user: { token: `h.${claims}.s` } })
  t.match(credentialTrouble(kubeconfig, 1_000_001), /the token ended at 1970-01-01T00:16:40/)
  t.equal(credentialTrouble(kubeconfig, 999_999), undefined)
})
