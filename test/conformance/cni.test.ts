/**
 * One law over every recorded set of annotations: the node gives a pod the rules that its init container would
 * have given it, by the redirect plan, and without one by the pod that the API server has.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { decideByAnnotations } from '../../cni-plugin/decide.ts'
import { decideByPod } from '../../cni-plugin/derive.ts'
import type { InjectConfig } from '../../core/inject/config.ts'
import { injectPod } from '../../core/inject/inject.ts'
import { layer } from '../../core/inject/values-layers.ts'
import { isObject, type Json, type JsonObject } from '../../core/json.ts'
import { byName, type Pod } from '../../core/k8s.ts'
import { readArgv } from '../../core/options/argv.ts'
import type { InterceptionOptions } from '../../core/options/interception.ts'
import { buildPlan, type RuleLook } from '../../core/rules/build.ts'
import { printRestore, stepsFor } from '../../core/rules/iptables.ts'
import { readSite } from '../../core/rules/site.ts'
import { printYaml, readYaml } from '../../core/yaml.ts'
import { configOf, requestFor } from '../support/config.ts'
import { folder, needData, readTable } from './table.ts'

const CNI = { pilot: { cni: { enabled: true } }, sidecarInjector: { cniAnnotation: true } }
const PLAN_KEY = 'sidecar-injector.io/redirect-plan'

/** Pods of one and of two families, with resolvers. */
const SITES = [
  { addresses: ['10.0.0.9'], resolvConf: 'nameserver 10.96.0.10\n', users: {} },
  { addresses: ['10.0.0.9', 'fd00::9'], resolvConf: 'nameserver fd00::10\n', users: {} },
]

type Configs = { readonly init: InjectConfig; readonly cni: InjectConfig }
type Settings = { readonly options: InterceptionOptions; readonly look: RuleLook }

function configs(dir?: string): Configs {
  const over = (name: string): JsonObject => {
    const common = yaml(join(folder, 'common', name))
    return dir === undefined ? common : layer(common, yaml(join(dir, name)))
  }
  const mesh = printYaml(over('mesh.yaml'))
  const values = layer(over('values.yaml'), { pilot: { cni: { enabled: false } } })
  return {
    init: configOf({ values: printYaml(values), mesh }),
    cni: configOf({ values: printYaml(layer(values, CNI)), mesh }),
  }
}

function yaml(path: string): JsonObject {
  const read = existsSync(path) ? readYaml(path, readFileSync(path, 'utf8')) : undefined
  return read?.ok === true && isObject(read.value) ? read.value : {}
}

/** The injected pod; undefined where it is not injected. */
function injected(pod: Json, config: InjectConfig): Pod | undefined {
  const decision = injectPod(requestFor(pod), config)
  return decision.kind === 'inject' ? decision.pod : undefined
}

/** What the init container of a pod would write. */
function byInit(pod: Pod): Settings | undefined {
  const init = byName(pod.spec?.initContainers, 'istio-init')
  if (init === undefined) return undefined
  const env = Object.fromEntries((init.env ?? []).map(({ name, value }) => [name, value]))
  const read = readArgv(init.args ?? [], env)
  return read.ok ? read.value : undefined
}

/** The texts that would be loaded, for every kind of pod. */
function rules({ options, look }: Settings): readonly unknown[] {
  return SITES.map((facts) => {
    const site = readSite(facts, { ...options, linkLocalCounts: false })
    if (!site.ok) return site.problems
    const plan = buildPlan(options, site.value, look)
    const texts = plan.families.map((family) => printRestore(stepsFor(plan, family)))
    return { texts, routes: plan.routes, needsV6Source: plan.needsV6Source }
  })
}

/** Pods whose own words do not say all that the injector knew; with a plan nothing is missing. */
const NOT_IN_POD: Readonly<Record<string, string>> = {
  '043-proxy-override-runas.yaml.tproxy 0.json':
    'TPROXY makes the proxy root, so that the user that its owner asked for stands in no field any more',
}

const counts = { compared: 0, without: 0 }

function compare(t: Test, name: string, pod: Json, { init, cni }: Configs): void {
  const [before, after] = [injected(pod, init), injected(pod, cni)]
  const wanted = before === undefined ? undefined : byInit(before)
  if (before === undefined || after === undefined || wanted === undefined) {
    counts.without++
    if (after !== undefined) {
      const planned = decideByAnnotations(handed(after))
      t.equal(planned.kind, 'skip', `${name}: no init container, nothing for the node to do`)
    }
    return
  }
  const planned = decideByAnnotations(handed(after))
  if (byName(after.spec?.initContainers, 'istio-init') !== undefined) {
    t.match(
      planned,
      { kind: 'skip', reason: 'rules-by-init' },
      `${name}: an init container of the user's own`,
    )
    return
  }
  counts.compared++
  if (planned.kind !== 'apply') t.fail(`${name}: ${JSON.stringify(planned)}`)
  else t.strictSame(rules(planned.plan), rules(wanted), `${name}: by the plan`)

  const reason = NOT_IN_POD[name]
  if (reason !== undefined) {
    t.comment(`${name} is not compared without its plan: ${reason}`)
    return
  }
  const { [PLAN_KEY]: _plan, ...annotations } = after.metadata?.annotations ?? {}
  const fetched = JSON.parse(
    JSON.stringify({ ...after, metadata: { ...after.metadata, annotations } }),
  ) as JsonObject
  const { ports } = wanted.options
  // The mesh's own ports stand in no annotation: the node is told by its configuration.
  const defaults = { outboundPort: `${ports.outbound}`, inboundPort: `${ports.inbound}` }
  const { decision } = decideByPod(fetched, defaults)
  if (decision.kind !== 'apply') t.fail(`${name}: ${JSON.stringify(decision)}`)
  else t.strictSame(rules(decision.plan), rules(wanted), `${name}: by the pod`)
}

function handed(pod: Pod) {
  const map = { 'kubernetes.io/config.source': 'api', ...pod.metadata?.annotations }
  return { kind: 'map', map } as const
}

function podWith(annotations: Readonly<Record<string, string>>): Json {
  const containers = [{ name: 'app', image: 'app' }]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', annotations },
    spec: { containers },
  }
}

t.test('annotations one by one, and in sets', needData(), async (t) => {
  const own = configs()
  type One = { readonly annotation: string; readonly value: string; readonly ok: boolean }
  for (const { annotation, value, ok } of readTable<One>('../annotations')) {
    if (ok)
      compare(t, `${annotation}: ${JSON.stringify(value)}`, podWith({ [annotation]: value }), own)
  }
  type Set = {
    readonly name: string
    readonly annotations: Record<string, string>
    readonly ok: boolean
  }
  for (const { name, annotations, ok } of readTable<Set>('validate-annotations')) {
    if (ok) compare(t, name, podWith(annotations), own)
  }
})

t.test('the pods of the injection suite', needData(), async (t) => {
  const root = join(folder, 'inject')
  for (const name of readdirSync(root).sort()) {
    const webhook = join(root, name, 'webhook')
    const files = existsSync(webhook) ? readdirSync(webhook).sort() : []
    // Go templates in the values are refused: docs/divergences.md.
    const { needs } = JSON.parse(readFileSync(join(root, name, 'case.json'), 'utf8')) as {
      needs?: string[]
    }
    if (files.length === 0 || needs?.includes('go-template') === true) continue
    const own = configs(join(root, name))
    for (const file of files) {
      const { review } = JSON.parse(readFileSync(join(webhook, file), 'utf8')) as {
        review: { request: { object: Json } }
      }
      compare(t, `${name} ${file}`, review.request.object, own)
    }
  }
  t.ok(counts.compared > 100, `${counts.compared} pods compared, ${counts.without} without rules`)
  t.comment(`${counts.compared} pods compared, ${counts.without} without rules`)
})
