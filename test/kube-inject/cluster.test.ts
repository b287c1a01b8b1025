/** Reading Istio's ConfigMaps, from an API server's stand-in on loopback. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { asksForCluster } from '../../kube-inject/cluster-flags.ts'
import { readClusterSources } from '../../kube-inject/cluster.ts'

type Answers = Readonly<Record<string, { readonly status?: number; readonly body: unknown }>>

const ISTIO = '/api/v1/namespaces/istio-system/configmaps/istio'
const INJECTOR = '/api/v1/namespaces/istio-system/configmaps/istio-sidecar-injector'
const GOOD: Answers = {
  [ISTIO]: { body: { data: { mesh: 'trustDomain: td' } } },
  [INJECTOR]: { body: { data: { config: 'policy: enabled', values: '{"global":{"hub":"h"}}' } } },
}

/** A kubeconfig for a server that gives these answers. */
async function kubeconfig(t: Test, answers: Answers): Promise<string> {
  const server = createServer((request, response) => {
    const answer = answers[request.url ?? '']
    const status = answer === undefined ? 404 : (answer.status ?? 200)
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer?.body ?? { message: 'not found' }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return write(t, `http://127.0.0.1:${port}`)
}

function write(t: Test, server: string): string {
  const folder = t.testdir({
    config: JSON.stringify({
      'current-context': 'here',
      clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'u', user: { token: 'secret' } }],
      contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
    }),
  })
  return join(folder, 'config')
}

t.test('which flags ask for a cluster', async (t) => {
  t.equal(asksForCluster({ revision: 'r', istioNamespace: 'n' }), false)
  for (const flag of ['kubeconfig', 'context', 'meshConfigMapName', 'injectConfigMapName']) {
    t.equal(asksForCluster({ revision: '', [flag]: 'x' }), true, flag)
  }
})

t.test('the texts and where they came from', async (t) => {
  const found = await readClusterSources({ kubeconfig: await kubeconfig(t, GOOD), revision: '' })
  t.strictSame(found, {
    mesh: { path: 'ConfigMap istio-system/istio, mesh', text: 'trustDomain: td' },
    injectConfig: {
      path: 'ConfigMap istio-system/istio-sidecar-injector, config',
      text: 'policy: enabled',
    },
    values: {
      path: 'ConfigMap istio-system/istio-sidecar-injector, values',
      text: '{"global":{"hub":"h"}}',
    },
  })
})

t.test('names by revision, namespace and flag', async (t) => {
  const body = { data: { mesh: 'm', config: 'c', values: 'v' } }
  const cases = [
    {
      flags: { revision: 'canary' },
      names: [
        'istio-system/configmaps/istio-canary',
        'istio-system/configmaps/istio-sidecar-injector-canary',
      ],
    },
    {
      flags: { revision: 'default' },
      names: ['istio-system/configmaps/istio', 'istio-system/configmaps/istio-sidecar-injector'],
    },
    {
      flags: {
        revision: 'canary',
        meshConfigMapName: 'a',
        injectConfigMapName: 'b/..',
        istioNamespace: 'mesh',
      },
      names: ['mesh/configmaps/a', 'mesh/configmaps/b%2F..'],
    },
  ]
  for (const { flags, names } of cases) {
    const answers = Object.fromEntries(
      names.map((name) => [`/api/v1/namespaces/${name}`, { body }]),
    )
    const found = await readClusterSources({ ...flags, kubeconfig: await kubeconfig(t, answers) })
    t.equal(found.mesh?.text, 'm', names.join())
  }
})

t.test('what is refused, and how', async (t) => {
  const cases = [
    {
      who: 'a ConfigMap that is not there',
      answers: { [ISTIO]: GOOD[ISTIO] },
      says: /istio-sidecar-injector: got "HTTP 404: not found"/,
    },
    {
      who: 'one that may not be read',
      answers: { ...GOOD, [ISTIO]: { status: 403, body: { message: 'no' } } },
      says: /istio: got "HTTP 403: no"/,
    },
    {
      who: 'one without its key',
      answers: { ...GOOD, [ISTIO]: { body: { data: { other: '' } } } },
      says: /got "keys other", want the key mesh/,
    },
  ]
  for (const { who, answers, says } of cases) {
    const config = await kubeconfig(t, answers as Answers)
    await t.rejects(
      readClusterSources({ kubeconfig: config, revision: '' }),
      { message: says },
      who,
    )
  }
  const config = await kubeconfig(t, GOOD)
  const there = { kubeconfig: config, revision: '' }
  await t.rejects(readClusterSources({ ...there, context: 'x' }), {
    message: /--context: got "x", want a context of the kubeconfig: here/,
  })
  await t.rejects(readClusterSources({ ...there, kubeconfig: '/nowhere' }), {
    message: /want a kubeconfig file/,
  })
  await t.rejects(readClusterSources({ ...there, kubeconfig: write(t, 'http://127.0.0.1:1') }), {
    message: /ECONNREFUSED.*, want an answer of/,
  })
  await t.rejects(readClusterSources({ ...there, kubeconfig: write(t, '') }), {
    message: /server is missing.*, want a kubeconfig file/,
  })
})
