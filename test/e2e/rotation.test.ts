/** Certificates change under Pods that keep coming; the API server counts. */
import t from 'tap'
import { isSame } from '../../core/json.ts'
import { need } from '../require.ts'
import {
  bundlesOf,
  metricsOf,
  readSecret,
  rotate,
  ROTATION_SECONDS,
  serialOf,
  startOwnCaFleet,
} from './cluster-duties.ts'
import { controlPlaneUnavailable, startControlPlane } from './control-plane.ts'
import { register, registrationOf, type Fleet } from './fleet.ts'
import { createSteadily, printReport } from './load.ts'
import { at, createNamespace } from './objects.ts'
import { until } from './until.ts'

const MESHED = 'meshed'
const PER_SECOND = 20
const TIMES = 5
const ENTRY = 'namespace.sidecar-injector.io'
const UNTRUSTED = 'sidecar_injector_tls_handshake_failures_total{reason="untrusted"}'

t.test('rotation under load', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane({ controllers: ['serviceaccount-controller'] })
  t.teardown(() => controlPlane.stop())
  await createNamespace(controlPlane, MESHED, { 'istio-injection': 'enabled' })
  const fleet = await startOwnCaFleet(controlPlane)
  t.teardown(() => fleet.close())
  await register(controlPlane, MESHED, registrationOf(fleet.url))
  // The registration came without a caBundle.
  const distrustedBefore = await untrusted(fleet)
  const load = createSteadily(controlPlane, { namespace: MESHED, perSecond: PER_SECOND })

  const serials = () => Promise.all(fleet.replicas().map((name) => serialOf(fleet, name)))
  const bundle = async () => (await bundlesOf(controlPlane, 'sidecar-injector'))[ENTRY] ?? ''
  const certificates = (text: string) => text.split('BEGIN CERTIFICATE').length - 1
  const seen = { leaves: 0, authorities: 0, most: 0 }
  for (let time = 0; time < TIMES; time++) {
    const [leaves, authority] = [await serials(), await bundle()]
    await rotate(controlPlane, 'leaf')
    await until('new leaves', async () => {
      const now = await serials()
      return now.every((serial, index) => serial !== leaves[index]) ? true : undefined
    })
    seen.leaves++
    t.equal(await bundle(), authority, 'a new leaf needs no other CA')
    const before = await serials()
    await rotate(controlPlane, 'ca')
    await until('another CA alone', async () => {
      const text = await bundle()
      seen.most = Math.max(seen.most, certificates(text))
      const data = at(await readSecret(controlPlane), 'data')
      const isOver = isSame(Object.keys(data ?? {}).sort(), ['ca.crt', 'ca.key'])
      return isOver && certificates(text) === 1 && text !== authority ? true : undefined
    })
    seen.authorities++
    const after = await serials()
    t.notOk(
      after.some((serial) => before.includes(serial)),
      'every replica has a leaf of it',
    )
  }
  const report = await load.stop()
  const distrusted = (await untrusted(fleet)) - distrustedBefore
  t.comment(
    `${printReport(report)}; ${TIMES} leaves and ${TIMES} CAs, ${ROTATION_SECONDS} s each way, ` +
      `${distrusted} handshakes in which the API server did not know the CA yet`,
  )
  t.strictSame(report.failures, [], 'no creation failed')
  t.equal(report.plain, 0, 'every Pod has its sidecar')
  t.ok(report.created > PER_SECOND * TIMES * 2 * ROTATION_SECONDS, `${report.created} Pods`)
  t.strictSame(seen, { leaves: TIMES, authorities: TIMES, most: 2 }, 'old and new overlapped')
  t.strictSame(fleet.balancer.lost, [], 'no connection was refused, none cut with an answer due')
})

/** Handshakes so far in which a client did not trust the certificate, of all replicas. */
async function untrusted(fleet: Fleet): Promise<number> {
  const counts = fleet.replicas().map(async (name) => (await metricsOf(fleet, name)).get(UNTRUSTED))
  return (await Promise.all(counts)).reduce<number>((sum, count) => sum + (count ?? NaN), 0)
}
