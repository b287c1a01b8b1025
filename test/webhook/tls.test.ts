import { X509Certificate } from 'node:crypto'
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { Agent } from 'node:https'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { formatProblem } from '../../core/problem.ts'
import { serveCertificate } from '../../webhook/server.ts'
import type { Live } from '../../webhook/source.ts'
import { makeThrowaway, type Throwaway } from '../../webhook/tls/authority.ts'
import { expiryWarning, watchExpiry, type ExpiryWarning } from '../../webhook/tls/expiry.ts'
import { certify, watchKeyPair, type Certified } from '../../webhook/tls/reload.ts'
import { makeCa, makeLeaf, printKey } from '../../webhook/tls/x509.ts'
import { makeStand, podWith, reviewOf } from './stand-ins.ts'
import { dial, listen, post, rawPost, readAll } from './wire.ts'

const body = reviewOf(podWith())
const make = () => makeThrowaway(['localhost', '127.0.0.1'], new Date())
const serialOf = ({ pair }: Throwaway) => new X509Certificate(pair.cert).serialNumber

t.test('handshakes', async (t) => {
  const stand = makeStand()
  const { port, ca, throwaway } = await listen(stand)
  t.teardown(() => stand.app.close())
  const cases = [
    { what: 'HTTP/1.1 is chosen of two', options: { ALPNProtocols: ['h2', 'http/1.1'] } },
    { what: 'TLS 1.2 is enough', options: { maxVersion: 'TLSv1.2' } },
    { what: 'no protocol named', options: {} },
  ] as const
  for (const { what, options } of cases) {
    const socket = await dial(port, ca, {
      ...options,
      ALPNProtocols: [...('ALPNProtocols' in options ? options.ALPNProtocols : [])],
    })
    const wanted = 'ALPNProtocols' in options ? 'http/1.1' : false
    t.equal(socket.alpnProtocol, wanted, what)
    t.equal(socket.getProtocol(), 'maxVersion' in options ? 'TLSv1.2' : 'TLSv1.3', what)
    socket.destroy()
  }
  const refused = [
    { what: 'HTTP/2 only', options: { ALPNProtocols: ['h2'] } },
    {
      what: 'TLS 1.1',
      options: { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' },
    },
  ] as const
  for (const swapped of [false, true]) {
    if (swapped) serveCertificate(stand.app, throwaway.pair)
    for (const { what, options } of refused) {
      const alpn = 'ALPNProtocols' in options ? { ALPNProtocols: [...options.ALPNProtocols] } : {}
      await t.rejects(dial(port, ca, { ...options, ...alpn }), { code: /^ERR_SSL_/ }, what)
    }
  }
})

t.test(
  'a new certificate is served from the next handshake on, and nobody is cut off',
  async (t) => {
    const stand = makeStand()
    const { port, ca, throwaway } = await listen(stand)
    t.teardown(() => stand.app.close())
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => {
      agent.destroy()
    })
    const other = await make()
    const before = await post(port, ca, body, agent)
    const underWay = await dial(port, ca)
    const answer = readAll(underWay)
    const request = rawPost(body, { connection: 'close' })
    underWay.write(request.slice(0, -10))
    serveCertificate(stand.app, other.pair)
    underWay.write(request.slice(-10))
    t.match(await answer, /^HTTP\/1.1 200 OK\r\n/, 'a request that was under way')
    const standing = await post(port, ca, body, agent)
    const fresh = await post(port, other.ca, body)
    t.strictSame(
      [before, standing, fresh].map(({ status, serial }) => [status, serial]),
      [
        [200, serialOf(throwaway)],
        [200, serialOf(throwaway)],
        [200, serialOf(other)],
      ],
    )
    await t.rejects(post(port, ca, body), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' })
  },
)

t.test('mounted files', async (t) => {
  const [one, two, three] = [await make(), await make(), await make()]
  const folder = t.testdir({})
  const mount = async (name: string, cert: string, key: string): Promise<void> => {
    await mkdir(join(folder, name))
    await writeFile(join(folder, name, 'tls.crt'), cert)
    await writeFile(join(folder, name, 'tls.key'), key)
    await symlink(name, join(folder, '..next'))
    await rename(join(folder, '..next'), join(folder, '..data'))
  }
  await mount('1', one.pair.cert, one.pair.key)
  for (const name of ['tls.crt', 'tls.key']) await symlink(`..data/${name}`, join(folder, name))
  const files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') }
  const lines: string[] = []
  const report = {
    taken: ({ pair }: { pair: { cert: string } }) =>
      lines.push(new X509Certificate(pair.cert).serialNumber),
    refused: (problems: readonly Parameters<typeof formatProblem>[0][]) =>
      lines.push(problems.map(formatProblem).join()),
  }
  const opened = await watchKeyPair(files, report, 20)
  if (!opened.ok) throw new Error('want it opened')
  t.teardown(opened.value.close)
  const after = async (change: Promise<void>): Promise<string | undefined> => {
    const count = lines.length
    await change
    for (let tries = 0; tries < 500 && lines.length === count; tries++) await sleep(10)
    return lines.at(-1)
  }
  t.equal(lines.at(-1), serialOf(one), 'the first pair')
  t.equal(
    await after(mount('2', two.pair.cert, one.pair.key)),
    `${files.key}: got "another key", want the key of the certificate in ${files.cert}`,
  )
  t.equal(
    await after(mount('3', 'hello\nyou', two.pair.key)),
    `${files.cert}: got "hello", want a certificate in PEM`,
  )
  t.equal(
    await after(mount('4', two.pair.cert, 'sesame')),
    `${files.key}: got "no key to be read", want a private key in PEM`,
  )
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
  t.match(
    await after(mount('chain', two.pair.cert + broken, two.pair.key)),
    `want a chain that TLS can serve`,
  )
  t.equal(
    serialOf({ ...one, pair: opened.value.current().pair }),
    serialOf(one),
    'the last good one',
  )
  t.equal(await after(mount('5', three.pair.cert, three.pair.key)), serialOf(three))
  t.strictSame(opened.value.problems(), [])
  t.strictSame(opened.value.current().pair, three.pair)
})

/** Milliseconds by which certificates of ours begin before the moment they are made for. */
const EARLY = 5 * 60_000

/** A pair that is valid from about `fromMs` to `toMs` from now. */
async function pairFor(fromMs: number, toMs: number): Promise<{ cert: string; key: string }> {
  const now = new Date(Date.now() + fromMs + EARLY)
  const validity = { now, validDays: (toMs - fromMs - EARLY) / 86_400_000 }
  const ca = await makeCa({ ...validity, commonName: 'ca' })
  const leaf = await makeLeaf(ca, { ...validity, commonName: 'leaf', hosts: ['localhost'] })
  return { cert: leaf.certificate, key: await printKey(leaf) }
}

const HOUR = 3_600_000

t.test(
  'a certificate is not served before its time or after it while another one is good',
  async (t) => {
    const folder = t.testdir({})
    const files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') }
    const told: string[] = []
    const write = async (pair: { cert: string; key: string }): Promise<void> => {
      await writeFile(files.cert, pair.cert)
      await writeFile(files.key, pair.key)
    }
    const first = await pairFor(-HOUR, HOUR)
    await write(first)
    const report = {
      taken: ({ pair }: Certified) => told.push(pair.cert),
      refused: ([problem]: readonly { got: string; want: string }[]) => {
        told.push(`${problem?.got}, want ${problem?.want}`)
      },
    }
    const opened = await watchKeyPair(files, report, 20)
    if (!opened.ok) throw new Error('want it opened')
    const { current, problems, close } = opened.value
    t.teardown(close)
    const until = async (isSo: (last: string) => boolean): Promise<string> => {
      for (let tries = 0; tries < 1000 && !isSo(told.at(-1) ?? ''); tries++) await sleep(10)
      return told.at(-1) ?? ''
    }
    const old = await pairFor(-2 * HOUR, -HOUR)
    await write(old)
    const isRefused = (last: string): boolean => last.startsWith('one valid from')
    t.match(
      await until(isRefused),
      /^one valid from .* to .*Z, want a certificate that is valid now$/,
    )
    t.equal(current().pair.cert, first.cert)
    t.match(problems(), [{ path: files.cert, want: 'a certificate that is valid now' }])
    told.length = 0
    const soon = await pairFor(3000, HOUR)
    await write(soon)
    t.ok(isRefused(await until(isRefused)), 'not yet')
    t.equal(current().pair.cert, first.cert)
    t.equal(
      await until((last) => last === soon.cert),
      soon.cert,
      'by itself when its time has come',
    )
    t.equal(current().pair.cert, soon.cert)
    t.strictSame(problems(), [])
  },
)

t.test('with nothing better, what there is is served', async (t) => {
  const old = await pairFor(-2 * HOUR, -HOUR)
  const older = await pairFor(-3 * HOUR, -2 * HOUR)
  const folder = t.testdir({ 'tls.crt': old.cert, 'tls.key': old.key })
  const files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') }
  const report = { taken: () => undefined, refused: () => undefined }
  const opened = await watchKeyPair(files, report, 20)
  if (!opened.ok) throw new Error('want it opened')
  t.teardown(opened.value.close)
  t.equal(opened.value.current().pair.cert, old.cert)
  await writeFile(files.cert, older.cert)
  await writeFile(files.key, older.key)
  for (let tries = 0; tries < 500 && opened.value.current().pair.cert === old.cert; tries++) {
    await sleep(10)
  }
  t.equal(opened.value.current().pair.cert, older.cert)
})

t.test('warnings before the end, and after it', async (t) => {
  const day = 24 * HOUR
  const pair = await pairFor(-HOUR, HOUR)
  const certified = certify(pair, { cert: 'c', key: 'k' })
  if (!certified.ok) throw new Error('want a certificate')
  const { notAfter } = certified.value
  const at = (ms: number) => new Date(notAfter.getTime() + ms)
  const cases = [
    { what: 'a month before', ms: -30 * day, want: undefined },
    { what: 'less than a month before', ms: -30 * day + 1, want: { hasEnded: false, days: 29 } },
    { what: 'an hour before', ms: -HOUR, want: { hasEnded: false, days: 0 } },
    { what: 'at the end', ms: 0, want: { hasEnded: true, days: 0 } },
    { what: 'a day after', ms: day, want: { hasEnded: true, days: -1 } },
  ]
  for (const { what, ms, want } of cases) {
    const warning = expiryWarning(certified.value, at(ms))
    t.strictSame(warning, want && { ...want, notAfter }, what)
  }
  const warnings: ExpiryWarning[] = []
  let now = at(-31 * day)
  const listeners: (() => void)[] = []
  const live: Pick<Live<Certified | undefined>, 'current' | 'onChange'> = {
    current: () => certified.value,
    onChange: (listener) => {
      listeners.push(() => {
        listener(certified.value)
      })
    },
  }
  const watch = watchExpiry(
    live,
    (warning) => warnings.push(warning),
    () => now,
    5,
  )
  t.teardown(watch.close)
  const counts: number[] = []
  for (const ms of [-31 * day, -10 * day, -10 * day + HOUR, -9 * day]) {
    now = at(ms)
    await sleep(50)
    counts.push(warnings.length)
  }
  t.strictSame(counts, [0, 1, 1, 2], 'once a day')
  t.equal(listeners.length, 1, 'and when another one comes')
})
