/** Mounted files: the CA beside them is published, and only the API server may call. */
import { join } from 'node:path'
import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { makeThrowaway } from '../../webhook/tls/authority.ts'
import { need } from '../require.ts'
import { makeCallerCa } from '../webhook/callers.ts'
import { bundlesOf, metricsOf, NAMESPACE } from './cluster-duties.ts'
import { controlPlaneUnavailable, startControlPlane } from './control-plane.ts'
import { register, registrationOf, startFleet } from './fleet.ts'
import { createNamespace, messageOf } from './objects.ts'
import { until } from './until.ts'

const program = join(import.meta.dirname, '../../dist/cli/main.js')

const MESHED = 'meshed'
const NAME = 'kube-apiserver'
const ENTRY = 'namespace.sidecar-injector.io'
const base64 = (text: string) => Buffer.from(text).toString('base64')

t.test('an API server with a certificate', need(controlPlaneUnavailable()), async (t) => {
  const callers = await makeCallerCa()
  const { cert, key } = await callers.issue(NAME)
  const { pair, ca } = await makeThrowaway(['127.0.0.1'], new Date())
  const other = await makeThrowaway(['127.0.0.1'], new Date())
  const user = { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) }
  const folder = t.testdir({
    'tls.crt': pair.cert,
    'tls.key': pair.key,
    'ca.crt': ca,
    'callers.crt': callers.ca,
    kubeconfig: JSON.stringify({ users: [{ name: '*', user }] }),
  })
  const file = (name: string) => join(folder, name)
  const configuration = {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'WebhookAdmissionConfiguration',
    kubeConfigFile: file('kubeconfig'),
  }
  const admission = {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AdmissionConfiguration',
    plugins: [{ name: 'MutatingAdmissionWebhook', configuration }],
  }
  await writeFile(file('admission.json'), JSON.stringify(admission))
  const controlPlane = await startControlPlane({
    controllers: ['serviceaccount-controller'],
    apiServerArgs: [`--admission-control-config-file=${file('admission.json')}`],
  })
  t.teardown(() => controlPlane.stop())
  await createNamespace(controlPlane, NAMESPACE)
  await createNamespace(controlPlane, MESHED, { 'istio-injection': 'enabled' })
  const flags = [
    ...['--tls-cert-file', file('tls.crt'), '--tls-key-file', file('tls.key')],
    ...['--client-ca-file', file('callers.crt'), '--client-name'],
  ]
  const cluster = ['--kubeconfig', controlPlane.kubeconfigPath, '--lease-duration', '3']
  const args = [...flags, NAME, '--ca-file', file('ca.crt'), ...cluster]
  const fleet = await startFleet(controlPlane, { replicas: 1, args })
  t.teardown(() => fleet.close())

  await t.test('it is injected for, with the CA from the file', async (t) => {
    await register(controlPlane, MESHED, registrationOf(fleet.url))
    t.equal((await bundlesOf(controlPlane, 'sidecar-injector'))[ENTRY], ca)
  })

  await t.test(
    'it does not trust what another configuration says: log and metric tell',
    async (t) => {
      const { request } = controlPlane
      const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations'
      const entry = {
        name: 'strange.example.com',
        clientConfig: { url: fleet.url, caBundle: base64(other.ca) },
        rules: [
          {
            operations: ['CREATE'],
            apiGroups: [''],
            apiVersions: ['v1'],
            resources: ['configmaps'],
          },
        ],
        namespaceSelector: { matchLabels: { 'istio-injection': 'enabled' } },
        failurePolicy: 'Fail',
        timeoutSeconds: 2,
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
      }
      const made = await request('POST', path, {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'MutatingWebhookConfiguration',
        metadata: { name: 'strange' },
        webhooks: [entry],
      })
      t.equal(made.status, 201, messageOf(made.body))
      const [name = ''] = fleet.replicas()
      const refused = 'sidecar_injector_tls_handshake_failures_total{reason="untrusted"}'
      await until('a handshake that fails', async () => {
        const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'x-' } }
        await request('POST', `/api/v1/namespaces/${MESHED}/configmaps?dryRun=All`, map)
        return ((await metricsOf(fleet, name)).get(refused) ?? 0) > 0 ? true : undefined
      })
      const lines = (await fleet.log(name)).split('\n').filter((line) => line.includes('TLS hand'))
      t.match(
        lines[0],
        /"level":"warn".*"reason":"untrusted".*the client does not trust the certificate/,
      )
      await request('DELETE', `${path}/strange`)
    },
  )

  await t.test('a CA that would not verify what is served is not published', async (t) => {
    await writeFile(file('ca.crt'), other.ca)
    const [name = ''] = fleet.replicas()
    await until('a line about it', async () =>
      (await fleet.log(name)).includes('bundle_unverifiable') ? true : undefined,
    )
    t.equal((await bundlesOf(controlPlane, 'sidecar-injector'))[ENTRY], ca)
    await writeFile(file('ca.crt'), other.ca + ca)
    await until('both', async () => {
      const bundle = (await bundlesOf(controlPlane, 'sidecar-injector'))[ENTRY]
      return bundle === other.ca + ca ? true : undefined
    })
  })

  await t.test('under another name it is refused, and told so', async (t) => {
    const { request, processes } = controlPlane
    const ports = ['--address', '127.0.0.1', '--port', '0', '--monitoring-port', '0']
    const all = [program, 'webhook', ...ports, ...flags, 'somebody-else']
    processes.start('strict', process.execPath, all)
    const port = await until('its port', async () => {
      return /"port":(\d+),"monitoringPort"/.exec(await processes.log('strict'))?.[1]
    })
    const url = `https://127.0.0.1:${port}/inject`
    const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations'
    const body = [
      { op: 'replace', path: '/webhooks/0/clientConfig/url', value: url },
      { op: 'replace', path: '/webhooks/0/clientConfig/caBundle', value: base64(ca) },
    ]
    const type = 'application/json-patch+json'
    const patched = await request('PATCH', `${path}/sidecar-injector`, body, type)
    t.equal(patched.status, 200, messageOf(patched.body))
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'refused' },
      spec: { containers: [{ name: 'app', image: 'nginx:1.29' }] },
    }
    const want = `client certificate: got \\"${NAME}\\", want one of somebody-else`
    let answer = ''
    await until(
      'the refusal',
      async () => {
        const path = `/api/v1/namespaces/${MESHED}/pods?dryRun=All`
        answer = messageOf((await request('POST', path, pod)).body)
        return answer.includes('client certificate') ? true : undefined
      },
      async () => answer,
      20,
    )
    t.match(JSON.stringify(answer), want)
    await until('the line about it', async () =>
      (await processes.log('strict')).includes('"reason":"client"') ? true : undefined,
    )
  })
})
