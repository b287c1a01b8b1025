/** The webhook as a process, for tests with an API server. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isObject } from '../../core/json.ts'
import type { ControlPlane } from './control-plane.ts'
import { until } from './until.ts'

const program = join(import.meta.dirname, '../../dist/cli/main.js')

/** A webhook that listens: its ports on loopback, and what its certificate is verified with. */
export type Webhook = Ports & { readonly caPem: string }

type Ports = { readonly port: number; readonly monitoringPort: number }

/** The webhook as a user starts it, on ports and with a CA of its own choice. */
export async function startWebhook(
  { processes }: Pick<ControlPlane, 'processes'>,
  flags: readonly string[] = [],
): Promise<Webhook> {
  const caFile = join(processes.folder, 'webhook-ca.pem')
  processes.start('webhook', process.execPath, [
    program,
    'webhook',
    ...['--address', '127.0.0.1', '--port', '0', '--monitoring-port', '0'],
    ...['--self-signed', '--ca-file', caFile],
    ...flags,
  ])
  const ports = await until(
    'the line "webhook listening"',
    async () => {
      const how = processes.exited('webhook')
      if (how !== undefined) throw new Error(`webhook: ${how}. ${await processes.log('webhook')}`)
      return portsIn(await processes.log('webhook'))
    },
    () => processes.log('webhook'),
  )
  return { ...ports, caPem: await readFile(caFile, 'utf8') }
}

function portsIn(log: string): Ports | undefined {
  for (const line of log.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'))) {
    const event: unknown = JSON.parse(line)
    if (!isObject(event) || event['msg'] !== 'webhook listening') continue
    const { port, monitoringPort } = event
    if (typeof port === 'number' && typeof monitoringPort === 'number') {
      return { port, monitoringPort }
    }
  }
  return undefined
}

/** The registration of a webhook for the namespaces labelled for injection. */
export function registration({ port, caPem }: Webhook): unknown {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: 'sidecar-injector-test' },
    webhooks: [
      {
        name: 'test.sidecar-injector.io',
        clientConfig: {
          url: `https://127.0.0.1:${port}/inject`,
          caBundle: Buffer.from(caPem).toString('base64'),
        },
        rules: [
          { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] },
        ],
        namespaceSelector: { matchLabels: { 'istio-injection': 'enabled' } },
        objectSelector: {
          matchExpressions: [
            { key: 'sidecar.istio.io/inject', operator: 'NotIn', values: ['false'] },
          ],
        },
        failurePolicy: 'Fail',
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
      },
    ],
  }
}
