/** The ConfigMaps that an installed Istio wrote, read as they are (fixtures by their shape). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readInjectConfig, type InjectConfig } from '../../../core/inject/config.ts'
import { injectPod } from '../../../core/inject/inject.ts'
import type { IstioVersion } from '../../../core/inject/values.ts'
import { isObject, type JsonObject } from '../../../core/json.ts'
import { byName, type Pod } from '../../../core/k8s.ts'
import type { Read } from '../../../core/problem.ts'
import { parseDocuments } from '../../../core/yaml.ts'
import { digest, requestFor } from '../../support/config.ts'

const folder = join(import.meta.dirname, '../../fixtures/configmaps')

/** The texts of an installation. */
type Texts = { readonly config: string; readonly values: string; readonly mesh: string }

function textsOf(file: string): Texts {
  const maps = [...parseDocuments(file, readFileSync(join(folder, file), 'utf8'))].map((read) => {
    const map = read.ok ? read.value.value : undefined
    if (!isObject(map) || !isObject(map['data'])) throw new Error(`${file}: no ConfigMap`)
    return map['data']
  })
  const data: JsonObject = Object.assign({}, ...maps) as JsonObject
  return {
    config: data['config'] as string,
    values: data['values'] as string,
    mesh: data['mesh'] as string,
  }
}

function read(texts: Texts, istioVersion: IstioVersion): Read<InjectConfig> {
  return readInjectConfig({
    injectConfig: { path: 'istio-sidecar-injector/config', text: texts.config },
    values: { path: 'istio-sidecar-injector/values', text: texts.values },
    mesh: { path: 'istio/mesh', text: texts.mesh },
    istioVersion,
    revision: '',
    digest,
  })
}

function mustRead(texts: Texts, version: IstioVersion): InjectConfig {
  const config = read(texts, version)
  if (!config.ok) throw new Error(JSON.stringify(config.problems))
  return config.value
}

function injected(config: InjectConfig, pod: JsonObject = POD): Pod {
  const decision = injectPod(requestFor(pod), config)
  if (decision.kind !== 'inject') throw new Error(JSON.stringify(decision))
  return decision.pod
}

const POD = { metadata: { name: 'p' }, spec: { containers: [{ name: 'app', image: 'nginx' }] } }

/** What of an injected pod shows which values and mesh were read. */
function shown(pod: Pod): JsonObject {
  const proxy = byName(pod.spec?.containers, 'istio-proxy')
  const env = (name: string) => byName(proxy?.env, name)?.value ?? null
  return {
    image: proxy?.image ?? null,
    logLevel: proxy?.args?.find((arg) => arg.startsWith('--proxyLogLevel')) ?? null,
    cpu: proxy?.resources?.requests?.['cpu'] ?? null,
    cluster: env('ISTIO_META_CLUSTER_ID'),
    network: env('ISTIO_META_NETWORK'),
    mesh: env('ISTIO_META_MESH_ID'),
    dns: env('ISTIO_META_DNS_CAPTURE'),
    proxyConfig: env('PROXY_CONFIG'),
    isHeld: proxy?.lifecycle?.postStart !== undefined,
    secrets: (pod.spec?.imagePullSecrets ?? []).map(({ name }) => name ?? null),
    note: pod.metadata?.annotations?.['example.com/injected-by'] ?? null,
  }
}

const warning = (name: string) =>
  `template ${name}: a Go template, the built-in one of this name is used`
const foreign = (name: string) =>
  `template ${name}: a Go template that is not for sidecars, ignored`

const installations = [
  {
    file: 'istio-1.17.yaml',
    version: '1.17',
    warned: { sidecar: warning, gateway: foreign, 'grpc-simple': foreign, 'grpc-agent': foreign },
    never: 1,
    shows: {
      image: 'example.com/istio/proxyv2:1.17.8',
      logLevel: '--proxyLogLevel=warning',
      cpu: '100m',
      cluster: 'shop-1',
      network: null,
      mesh: 'example.org',
      dns: 'true',
      proxyConfig: '{"proxyMetadata":{"ISTIO_META_DNS_CAPTURE":"true"}}\n',
      isHeld: false,
      secrets: [],
      note: 'istio',
    },
  },
  {
    file: 'istio-current.yaml',
    version: 'current',
    warned: {
      sidecar: warning,
      gateway: warning,
      'grpc-simple': warning,
      'grpc-agent': warning,
      waypoint: foreign,
      'kube-gateway': foreign,
    },
    never: 0,
    shows: {
      image: 'example.com/istio/proxyv2:1.30.1',
      logLevel: '--proxyLogLevel=info',
      cpu: '10m',
      cluster: 'Kubernetes',
      network: 'net-1',
      mesh: 'mesh-1',
      dns: null,
      proxyConfig: '{"holdApplicationUntilProxyStarts":true}\n',
      isHeld: true,
      secrets: ['registry'],
      note: null,
    },
  },
] as const

for (const { file, version, warned, never, shows } of installations) {
  t.test(file, async (t) => {
    const config = mustRead(textsOf(file), version)
    t.strictSame(
      [...config.warnings].sort(),
      Object.entries<(name: string) => string>(warned)
        .map(([name, say]) => say(name))
        .sort(),
      'one warning for each Go template under a name of Istio',
    )
    t.strictSame(config.defaultTemplates, ['sidecar'])
    t.equal(config.policy.policy, 'enabled')
    t.equal(config.policy.neverInjectSelector.length, never)
    t.strictSame(config.policy.alwaysInjectSelector, [])
    t.strictSame(shown(injected(config)), shows, 'values and mesh are read as they are')
  })
}

const current = textsOf('istio-current.yaml')

/** The texts with templates added, as `helm --set` or an editor would. */
function withTemplate(name: string, text: string): Texts {
  const indented = text.split('\n').join('\n    ')
  return { ...current, config: `${current.config}\n  ${name}: |\n    ${indented}` }
}

const OVERLAY = 'spec:\n  containers:\n  - name: istio-proxy\n    env: [{name: TEAM, value: shop}]'

t.test('a Go template under a name of its own is refused, by its name', async (t) => {
  const texts = withTemplate('mine', 'spec:\n  nodeName: {{ .Spec.NodeName }}')
  t.strictSame(read(texts, 'current'), {
    ok: false,
    problems: [
      {
        path: 'template mine',
        got: 'a Go template',
        want: 'a Handlebars template (docs/guides/templates.md tells how to rewrite it)',
      },
    ],
  })
})

t.test('a static overlay under a name of its own works', async (t) => {
  const config = mustRead(withTemplate('mine', OVERLAY), 'current')
  const annotations = { 'inject.istio.io/templates': 'sidecar,mine' }
  const pod = injected(config, { ...POD, metadata: { name: 'p', annotations } })
  const env = byName(pod.spec?.containers, 'istio-proxy')?.env
  t.equal(byName(env, 'TEAM')?.value, 'shop')
})

t.test('templates in the values count too', async (t) => {
  const values = JSON.parse(current.values) as { sidecarInjectorWebhook: JsonObject }
  const webhook = { ...values.sidecarInjectorWebhook, templates: { mine: OVERLAY } }
  const text = JSON.stringify({ ...values, sidecarInjectorWebhook: webhook })
  t.ok(mustRead({ ...current, values: text }, 'current').templates.has('mine'))
  const go = { ...webhook, templates: { mine: '{{ toYaml .Spec }}' } }
  const refused = read(
    { ...current, values: JSON.stringify({ ...values, sidecarInjectorWebhook: go }) },
    'current',
  )
  t.match(refused, { ok: false, problems: [{ path: 'template mine', got: 'a Go template' }] })
})

t.test('a key that is misspelled or of tomorrow changes nothing', async (t) => {
  const odd = { ...current, config: `${current.config}\nkeyOfTomorrow: {a: 1}` }
  t.strictSame(
    shown(injected(mustRead(odd, 'current'))),
    shown(injected(mustRead(current, 'current'))),
  )
})

t.test('a wrong value is named with its ConfigMap key', async (t) => {
  const texts = {
    ...current,
    config: current.config.replace('[sidecar]', '7'),
    mesh: 'trustDomain: [',
  }
  const refused = read(texts, 'current')
  t.equal(refused.ok, false)
  const paths = refused.ok ? [] : refused.problems.map(({ path }) => path.split(':')[0])
  t.strictSame([...new Set(paths)].sort(), ['istio-sidecar-injector/config', 'istio/mesh'])
})
