import { X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { hostsOf, makeThrowaway, publishFile } from '../../webhook/tls/authority.ts'
import { certify } from '../../webhook/tls/reload.ts'

t.test('a throwaway authority signs a certificate for this machine and the Service', async (t) => {
  const now = new Date('2026-01-02T03:04:05Z')
  const { pair, ca } = await makeThrowaway(hostsOf('sidecar-injector', 'mesh'), now)
  const [leaf, root] = [new X509Certificate(pair.cert), new X509Certificate(ca)]
  t.equal(leaf.verify(root.publicKey), true)
  t.equal(leaf.checkIssued(root), true)
  t.strictSame([root.ca, leaf.ca], [true, false])
  for (const host of ['localhost', 'sidecar-injector.mesh.svc']) t.equal(leaf.checkHost(host), host)
  for (const ip of ['127.0.0.1', '::1']) t.equal(leaf.checkIP(ip), ip)
  t.equal(leaf.checkHost('example.org'), undefined)
  t.strictSame(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1'])
  t.equal(new Date(leaf.validFrom) < now && new Date(leaf.validTo) > now, true)
  const files = { cert: 'tls.crt', key: 'tls.key' }
  t.match(certify(pair, files), { ok: true, value: { pair } })
})

t.test('two authorities have nothing in common', async (t) => {
  const one = await makeThrowaway(['localhost'], new Date())
  const two = await makeThrowaway(['localhost'], new Date())
  t.equal(new X509Certificate(one.pair.cert).verify(new X509Certificate(two.ca).publicKey), false)
  t.not(new X509Certificate(one.ca).serialNumber, new X509Certificate(two.ca).serialNumber)
  const mixed = { cert: one.pair.cert, key: two.pair.key }
  t.strictSame(certify(mixed, { cert: 'c', key: 'k' }), {
    ok: false,
    problems: [{ path: 'k', got: 'another key', want: 'the key of the certificate in c' }],
  })
})

t.test('the file for callers is readable by all and written whole', async (t) => {
  const folder = t.testdir({ 'ca.pem': 'old' })
  await publishFile(join(folder, 'ca.pem'), 'new')
  t.equal(await readFile(join(folder, 'ca.pem'), 'utf8'), 'new')
  t.equal((await stat(join(folder, 'ca.pem'))).mode & 0o777, 0o644)
  await t.rejects(publishFile(join(folder, 'none', 'ca.pem'), 'new'), { code: 'ENOENT' })
})
