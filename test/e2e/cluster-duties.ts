/** Replicas that keep an own CA and a caBundle in the cluster, as the tests look at them from outside. */
import { once } from 'node:events'
import { connect } from 'node:tls'
import { REGISTRATIONS } from '../../cluster/registrations.ts'
import type { ControlPlane } from './control-plane.ts'
import { DRAIN_FLAGS, startFleet, type Fleet } from './fleet.ts'
import { at, createNamespace, listAt, messageOf, textAt } from './objects.ts'

/** Where the replicas of a fleet keep what is theirs. */
export const NAMESPACE = 'sidecar-injector'
const SECRET = `/api/v1/namespaces/${NAMESPACE}/secrets/sidecar-injector-ca`
const LEASE = `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/sidecar-injector`

/** Short ones, so that a test sees them pass. */
export const LEASE_SECONDS = 3
export const ROTATION_SECONDS = 6

/** Starts replicas with an own CA in a Secret. */
export async function startOwnCaFleet(controlPlane: ControlPlane): Promise<Fleet> {
  await createNamespace(controlPlane, NAMESPACE)
  return startFleet(controlPlane, {
    args: [
      ...['--kubeconfig', controlPlane.kubeconfigPath, '--own-ca-secret'],
      ...['--lease-duration', String(LEASE_SECONDS)],
      ...['--ca-rotation-delay', String(ROTATION_SECONDS)],
      ...DRAIN_FLAGS,
    ],
  })
}

/** Metrics of one replica by their lines, `name{labels}`; empty when it does not answer. */
export async function metricsOf(fleet: Fleet, name: string): Promise<ReadonlyMap<string, number>> {
  const { monitoringPort } = fleet.portsOf(name)
  try {
    const url = `http://127.0.0.1:${monitoringPort}/metrics`
    const text = await (await fetch(url, { signal: AbortSignal.timeout(1000) })).text()
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    return new Map(
      lines.map((line) => {
        const cut = line.lastIndexOf(' ')
        return [line.slice(0, cut), Number(line.slice(cut + 1))]
      }),
    )
  } catch {
    return new Map()
  }
}

/** The replicas that say that they lead. */
export async function leadersOf(fleet: Fleet): Promise<readonly string[]> {
  const leaders: string[] = []
  for (const name of fleet.replicas()) {
    if ((await metricsOf(fleet, name)).get('sidecar_injector_is_leader') === 1) leaders.push(name)
  }
  return leaders
}

/** Patches of caBundles that a replica tried, of all configurations. */
export async function attemptsOf(fleet: Fleet, name: string): Promise<number> {
  const metrics = await metricsOf(fleet, name)
  return [...metrics]
    .filter(([line]) => line.startsWith('webhook_patch_attempts_total{'))
    .reduce((sum, [, value]) => sum + value, 0)
}

/** Reads an object that must be there. */
async function read({ request }: ControlPlane, path: string): Promise<unknown> {
  const { status, body } = await request('GET', path)
  if (status !== 200) throw new Error(`${path}: got ${status} ${messageOf(body)}, want 200`)
  return body
}

/** The Lease. */
export const readLease = (controlPlane: ControlPlane): Promise<unknown> => read(controlPlane, LEASE)

/** The Secret of the CA. */
export const readSecret = (controlPlane: ControlPlane): Promise<unknown> => {
  return read(controlPlane, SECRET)
}

/** The entries of a configuration, each with its caBundle as text. */
export async function bundlesOf(
  controlPlane: ControlPlane,
  name: string,
): Promise<Readonly<Record<string, string>>> {
  const object = await read(controlPlane, `${REGISTRATIONS}/${name}`)
  return Object.fromEntries(
    listAt(object, 'webhooks').map((webhook) => [
      textAt(webhook, 'name'),
      Buffer.from(textAt(webhook, 'clientConfig', 'caBundle'), 'base64').toString(),
    ]),
  )
}

/** Fields of a configuration that a manager owns. */
export async function fieldsOf(
  controlPlane: ControlPlane,
  name: string,
  manager: string,
): Promise<readonly unknown[]> {
  const object = await read(controlPlane, `${REGISTRATIONS}/${name}`)
  return listAt(object, 'metadata', 'managedFields')
    .filter((entry) => textAt(entry, 'manager') === manager)
    .map((entry) => at(entry, 'fieldsV1', 'f:webhooks'))
}

/** Asks for a rotation as a person does. */
export async function rotate({ kubectl }: ControlPlane, what: 'leaf' | 'ca'): Promise<void> {
  const note = `sidecar-injector.io/rotate=${what}`
  const args = ['annotate', '-n', NAMESPACE, 'secret', 'sidecar-injector-ca', note]
  const { exitCode, stderr } = await kubectl(args)
  if (exitCode !== 0) throw new Error(stderr)
}

/** Writes nonsense where the CA belongs, as a person who edits the wrong line. */
export async function damage(
  { request }: ControlPlane,
  name: string,
  index: number,
): Promise<void> {
  const path = `${REGISTRATIONS}/${name}`
  const patch = [{ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value: NONSENSE }]
  const { status, body } = await request('PATCH', path, patch, 'application/json-patch+json')
  if (status !== 200) throw new Error(`${path}: got ${status} ${messageOf(body)}, want 200`)
}

/** What `damage` writes, in base64. */
export const NONSENSE = Buffer.from('nonsense').toString('base64')

/** Serial number of the certificate that a replica serves now. */
export async function serialOf(fleet: Fleet, name: string): Promise<string> {
  const { port } = fleet.portsOf(name)
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { serialNumber } = socket.getPeerCertificate()
  socket.destroy()
  return serialNumber
}
