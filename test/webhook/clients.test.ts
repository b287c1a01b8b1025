import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { readConfig } from '../../webhook/config.ts'
import { startWebhook } from '../../webhook/main.ts'
import { serveCertificate } from '../../webhook/server.ts'
import { makeThrowaway } from '../../webhook/tls/authority.ts'
import { makeCallerCa, type Caller } from './callers.ts'
import { makeStand, parseLines, podWith, reviewOf, standIn, valuesOf } from './stand-ins.ts'
import { dial, listen, rawPost, readAll } from './wire.ts'

const [known, unknown] = [await makeCallerCa(), await makeCallerCa()]
const apiServer = await known.issue('kube-apiserver')

/** Status and text of an answer to a review, or to a look at readiness. */
async function ask(port: number, ca: string, caller?: Caller, target = '/inject'): Promise<string> {
  const socket = await dial(port, ca, caller === undefined ? {} : { ...caller })
  const answer = readAll(socket)
  const request = rawPost(reviewOf(podWith()), { connection: 'close' }, target)
  socket.write(
    target === '/ready' ? `GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n` : request,
  )
  const text = await answer
  return text.replace(/^HTTP\/1.1 (\d+)[^]*?\r\n\r\n([^]*)$/, '$1 $2').slice(0, 200)
}

const cases: readonly { what: string; names: string[]; caller?: Caller; says: RegExp }[] = [
  {
    what: 'no certificate',
    names: [],
    says: /^403 client certificate: got "none", want one that --client-ca-file verifies/,
  },
  {
    what: 'one of another CA',
    names: [],
    caller: await unknown.issue('kube-apiserver'),
    says: /^403 client certificate: got "[A-Z_]+", want one that/,
  },
  { what: 'one of the CA', names: [], caller: apiServer, says: /^200 .*"allowed":true/ },
  {
    what: 'a common name that may',
    names: ['other', 'kube-apiserver'],
    caller: apiServer,
    says: /^200 /,
  },
  {
    what: 'a DNS name that may',
    names: ['api.example.org'],
    caller: await known.issue('x', ['api.example.org']),
    says: /^200 /,
  },
  {
    what: 'names that may not',
    names: ['other'],
    caller: await known.issue('x', ['y']),
    says: /^403 client certificate: got "x, y", want one of other/,
  },
]

t.test('who may call', async (t) => {
  for (const { what, names, caller, says } of cases) {
    const stand = makeStand({ clients: { names } })
    const { port, ca, throwaway } = await listen(stand)
    serveCertificate(stand.app, throwaway.pair, known.ca)
    t.match(await ask(port, ca, caller), says, what)
    t.match(await ask(port, ca, undefined, '/ready'), /^200 /, 'probes need no certificate')
    const refused = (await valuesOf(stand.registry))['sidecar_injection_failure_total{client}']
    t.equal(refused, says.source.startsWith('^403') ? 1 : undefined)
    if (says.source.startsWith('^403')) {
      t.match(stand.lines().at(-1), { level: 'warn', reason: 'client', why: /client certificate/ })
    }
    await stand.app.close()
  }
})

/** Ways to write the path of an injection, as the router reads them. */
const targets = [
  '/inject',
  '/inject?timeout=10s',
  '/inject/',
  '/%69nject',
  '/%69nject/cluster/evil',
  'http://x/inject',
  'HTTPS://localhost/inject/cluster/evil?timeout=1s',
  '/inject#a',
  '/inject/#a',
]

t.test('no way to write the path leads around the check', async (t) => {
  const stand = makeStand({ clients: { names: [] } })
  const { port, ca, throwaway } = await listen(stand)
  t.teardown(() => stand.app.close())
  serveCertificate(stand.app, throwaway.pair, known.ca)
  for (const target of targets) {
    t.match(await ask(port, ca, undefined, target), /^403 client certificate: got "none"/, target)
    t.match(await ask(port, ca, apiServer, target), /^200 .*"allowed":true/, target)
  }
  t.strictSame(await valuesOf(stand.registry), {
    sidecar_injection_requests_total: 2 * targets.length,
    sidecar_injection_success_total: targets.length,
    'sidecar_injection_failure_total{client}': targets.length,
  })
})

t.test('a changed file counts from the next connection on', async (t) => {
  const { pair, ca } = await makeThrowaway(['localhost'], new Date())
  const folder = t.testdir({ 'tls.crt': pair.cert, 'tls.key': pair.key, 'callers.crt': unknown.ca })
  const file = (name: string) => join(folder, name)
  const config = readConfig(
    {
      port: '0',
      monitoringPort: '0',
      address: '127.0.0.1',
      tlsCertFile: file('tls.crt'),
      tlsKeyFile: file('tls.key'),
      clientCaFile: file('callers.crt'),
    },
    {},
  )
  if (!config.ok) throw new Error(JSON.stringify(config.problems))
  const written: string[] = []
  const started = await startWebhook(config.value, {
    inject: standIn,
    readConfig: () => ({ ok: true, value: { image: 'proxyv2' } }),
    withProxyConfigs: (snapshot) => snapshot,
    warningsOf: () => [],
    stream: { write: (line) => void written.push(line) },
    pollMs: 20,
  })
  if (!started.ok) throw new Error(JSON.stringify(started.problems))
  t.teardown(() => started.value.stop('test'))
  const { port } = started.value
  t.match(await ask(port, ca, apiServer), /^403 /)
  await writeFile(file('callers.crt'), 'nonsense')
  for (let tries = 0; tries < 500 && !written.join('').includes('"refused, '); tries++) {
    await sleep(10)
  }
  t.match(parseLines(written).at(-1), { level: 'error', what: 'client-ca-file' })
  t.match(await ask(port, ca, apiServer), /^403 /, 'the last good one')
  await writeFile(file('callers.crt'), known.ca)
  let answer = ''
  for (let tries = 0; tries < 100 && !answer.startsWith('200'); tries++) {
    answer = await ask(port, ca, apiServer)
  }
  t.match(answer, /^200 /)
})
