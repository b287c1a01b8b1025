/** One webhook as a process, configured from a cluster, and asked without the API server in between. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isObject } from '../../core/json.ts'
import { opsIn, reviewOf } from '../webhook/stand-ins.ts'
import { post } from '../webhook/wire.ts'
import type { ControlPlane } from './control-plane.ts'
import { until } from './until.ts'

const program = join(import.meta.dirname, '../../dist/cli/main.js')

/** The namespace that the webhook and its ConfigMaps are in. */
export const HOME = 'istio-system'

/** A webhook that listens. */
export type Single = {
  /** What a small pod becomes: status of the answer, and the patch as text, empty without one. */
  readonly inject: (spec?: object) => Promise<{ readonly status: number; readonly patch: string }>
  /** Status and text of `GET /healthz/ready`. */
  readonly readiness: () => Promise<{ readonly status: number; readonly text: string }>
  /** The line of a metric that begins with this. */
  readonly metric: (start: string) => Promise<string | undefined>
  readonly log: () => Promise<string>
  /** Waits until readiness is of this status and its text has this in it. */
  readonly untilReadiness: (status: number, has: string) => Promise<string>
}

/** Starts it with a certificate of its own; it may not be ready for long. */
export async function startSingle(
  { processes }: ControlPlane,
  kubeconfigPath: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Single> {
  const name = 'webhook'
  const caFile = join(processes.folder, 'webhook-ca.pem')
  const flags = ['--self-signed', '--ca-file', caFile, '--config-from-cluster']
  const ports = ['--address', '127.0.0.1', '--port', '0', '--monitoring-port', '0']
  const args = [program, 'webhook', ...ports, ...flags, '--kubeconfig', kubeconfigPath]
  processes.start(name, process.execPath, args, { POD_NAMESPACE: HOME, ...env })
  const log = () => processes.log(name)
  const { port, monitoringPort } = await until(
    'the line "webhook listening"',
    async () => {
      const how = processes.exited(name)
      if (how !== undefined) throw new Error(`webhook: ${how}. ${await log()}`)
      return portsIn(await log())
    },
    log,
  )
  const ca = await readFile(caFile, 'utf8')
  const get = async (path: string): Promise<{ status: number; text: string }> => {
    const answer = await fetch(`http://127.0.0.1:${monitoringPort}${path}`)
    return { status: answer.status, text: await answer.text() }
  }
  const readiness = () => get('/healthz/ready')
  return {
    async inject(spec = {}) {
      const containers = [{ name: 'app', image: 'app:1' }]
      const pod = { metadata: { name: 'web' }, spec: { containers, ...spec } }
      const { status, text } = await post(port, ca, reviewOf(pod))
      return { status, patch: status === 200 ? JSON.stringify(opsIn(text)) : '' }
    },
    readiness,
    async metric(start) {
      const { text } = await get('/metrics')
      return text.split('\n').find((line) => line.startsWith(start))
    },
    log,
    untilReadiness: (status, has) =>
      until(
        `readiness ${status} with: ${has}`,
        async () => {
          const found = await readiness()
          return found.status === status && found.text.includes(has) ? found.text : undefined
        },
        async () => `${(await readiness()).text}\n${await log()}`,
      ),
  }
}

function portsIn(log: string): { port: number; monitoringPort: number } | undefined {
  for (const line of log.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'))) {
    const event: unknown = JSON.parse(line)
    if (!isObject(event) || event['msg'] !== 'webhook listening') continue
    const { port, monitoringPort } = event
    if (typeof port === 'number' && typeof monitoringPort === 'number')
      return { port, monitoringPort }
  }
  return undefined
}

/** A ConfigMap of this name, as it is applied. */
export function configMap(name: string, data: Readonly<Record<string, string>>): unknown {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: HOME }, data }
}

/** Values by which the proxy's image is `HUB/proxyv2:1`. */
export function valuesWith(hub: string): string {
  return JSON.stringify({ global: { hub, tag: '1' } })
}
