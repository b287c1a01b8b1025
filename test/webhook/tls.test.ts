import { X509Certificate } from 'node:crypto'
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { Agent } from 'node:https'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { formatProblem } from '../../core/problem.ts'
import { serveCertificate } from '../../webhook/server.ts'
import { makeThrowaway, type Throwaway } from '../../webhook/tls/authority.ts'
import { watchKeyPair } from '../../webhook/tls/reload.ts'
import { makeStand, podWith, reviewOf } from './stand-ins.ts'
import { dial, listen, post } from './wire.ts'

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
    serveCertificate(stand.app, other.pair)
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
