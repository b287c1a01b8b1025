/** `diff`: what injection would change now, of manifests or of what runs in a cluster. */
import { makeApi, type Api } from '../cluster/api.ts'
import { connect } from '../cluster/connect.ts'
import { foundOr, lookAt, lookThrough } from '../cluster/look.ts'
import { textAt } from '../cluster/members.ts'
import { podIn, printTarget, readTarget } from '../cluster/target.ts'
import type { InjectConfig } from '../core/inject/config.ts'
import type { InjectRequest } from '../core/inject/decision.ts'
import { isNativeByDefault, readNativeMode } from '../core/inject/native.ts'
import { ownerOf } from '../core/inject/owner.ts'
import { diff, type Operation } from '../core/inject/patch.ts'
import { describeDecision } from '../core/inject/why.ts'
import type { JsonObject } from '../core/json.ts'
import { Refusal, visible } from '../core/problem.ts'
import { printYaml } from '../core/yaml.ts'
import { readSourcesOf } from '../kube-inject/cluster.ts'
import { isNative, readConfig, type ConfigTexts } from '../kube-inject/config.ts'
import { writeStdout } from '../kube-inject/output.ts'
import { coloured, printUnified, runsBetween } from '../kube-inject/unified-diff.ts'
import { injectAgain, type Again, type Shape } from './diff-again.ts'
import type { DiffFlags } from './diff-command.ts'
import { asManifest, inOrder, withoutDefaults } from './diff-live.ts'
import { readSubjects } from './subjects.ts'

/** Prints the differences, and gives whether there are any. Throws a Refusal where that cannot be told. */
export async function runDiff(flags: DiffFlags, environment: Environment): Promise<boolean> {
  const { live } = flags
  if (live === undefined) {
    const config = await readConfig(flags, environment)
    const { pods } = await readSubjects(flags.filename, [], flags.namespace ?? '')
    const nativeSidecars = isNative(environment)
    const asked = pods.map(({ where, request }) => {
      const { kind, name } = request.owner
      return { title: `${where}: ${kind} ${name}`, request: { ...request, nativeSidecars } }
    })
    return compare(asked, config, flags, (pod) => pod)
  }
  const api = makeApi(await connect(flags))
  try {
    const asked = await readLive(api, live, environment)
    const { kubeconfig: _kubeconfig, context: _context, ...files } = flags
    const config = await readConfig(files, environment, await textsOf(api, flags))
    return await compare([asked], config, flags, withoutDefaults)
  } finally {
    api.close()
  }
}

type Environment = Readonly<Record<string, string | undefined>>

/** One pod that is asked about, and how it is called. */
type Asked = { readonly title: string; readonly request: InjectRequest }

async function compare(
  asked: readonly Asked[],
  config: InjectConfig,
  flags: DiffFlags,
  shape: Shape,
): Promise<boolean> {
  const told = asked.map((one): Told => ({
    ...one,
    again: injectAgain(one.request, config, shape),
  }))
  const problems = told.flatMap(({ title, again: { decision } }) =>
    decision.kind === 'reject'
      ? decision.problems.map((problem) => ({ ...problem, path: `${title}: ${problem.path}` }))
      : [],
  )
  if (problems.length > 0) throw new Refusal(problems)
  const reports = told.map((one) => reportOf(one, config))
  if (flags.output === 'json') await print(`${JSON.stringify(reports, null, 2)}\n`)
  else {
    for (const report of reports) process.stderr.write(`${visible(lineOf(report))}\n`)
    const diffs = told.map(unifiedOf)
    await print((process.stdout.isTTY ? diffs.map(coloured) : diffs).join(''))
  }
  return reports.some(({ patch }) => patch.length > 0)
}

function print(text: string): Promise<void> {
  return writeStdout([Buffer.from(text, 'utf8')])
}

/** Both pods as YAML, and how that differs. */
function unifiedOf({ title, again: { decision } }: Told): string {
  if (decision.kind !== 'inject') return ''
  const [before, after] = [decision.before, decision.pod].map((pod) => printYaml(inOrder(pod)))
  return printUnified(title, runsBetween(before ?? '', after ?? ''))
}

type Told = Asked & { readonly again: Again }

/** What is told about one pod. */
type PodReport = {
  readonly title: string
  readonly namespace?: string
  readonly decision: string
  readonly says: string
  /** Hashes of the configuration: what the pod carries, and what would be written now. */
  readonly configuration: { readonly carried: string | null; readonly now: string }
  readonly wasInjected: boolean
  readonly patch: readonly Operation[]
}

function reportOf({ title, request, again }: Told, config: InjectConfig): PodReport {
  const { owner } = request
  const { decision, carried } = again
  return {
    title,
    ...(owner.namespace === undefined ? {} : { namespace: owner.namespace }),
    decision: decision.kind,
    says: describeDecision(decision),
    configuration: { carried: carried?.version ?? null, now: config.version },
    wasInjected: carried !== undefined,
    patch: decision.kind === 'inject' ? diff(inOrder(decision.before), inOrder(decision.pod)) : [],
  }
}

function lineOf(report: PodReport): string {
  const { title, says, configuration, wasInjected, patch } = report
  const { carried, now } = configuration
  const hashes =
    carried === null ? `no hash of its configuration; now ${now}` : `${carried}; now ${now}`
  const was = !wasInjected
    ? 'not injected before'
    : carried === now
      ? `injected with this configuration, ${now}`
      : `injected with another configuration: ${hashes}`
  const differs = patch.length === 0 ? 'nothing differs' : `${patch.length} changes`
  return `${title}: ${differs}; ${was}; ${says}`
}

/** What runs, as it would be written down. */
async function readLive(api: Api, text: string, environment: Environment): Promise<Asked> {
  const read = readTarget('--live', text)
  if (!read.ok) throw new Refusal(read.problems)
  const { value: target } = read
  const title = printTarget(target)
  const looked = await lookAt(api, target.path, target.name)
  if (looked.kind !== 'found') {
    const got = looked.kind === 'missing' ? 'nothing' : looked.why
    throw new Refusal([{ path: title, got, want: 'one that exists and may be read' }])
  }
  const pod = podIn(asManifest(looked.value), target)
  const { kind, name, namespace, template } = target
  const owner =
    template.length === 0
      ? ownerOf(pod['metadata'], namespace)
      : { apiVersion: textAt(looked.value, 'apiVersion'), kind, name, namespace }
  const nativeSidecars = await areNative(api, textAt(pod, 'spec', 'nodeName'), environment)
  const request = { pod, namespace, owner, nativeSidecars, door: 'webhook', proxyEnvs: {} } as const
  return { title, request }
}

/** By the nodes, where nothing else says and they may be read. */
async function areNative(api: Api, nodeName: string, environment: Environment): Promise<boolean> {
  const mode = readNativeMode(environment['ENABLE_NATIVE_SIDECARS'])
  const nodes = mode === 'auto' ? await lookThrough(api, { path: '/api/v1/nodes' }) : undefined
  const facts = nodes === undefined ? [] : foundOr(nodes, []).map(nodeFact)
  return isNativeByDefault(mode, facts, nodeName)
}

function nodeFact(node: JsonObject) {
  return {
    name: textAt(node, 'metadata', 'name'),
    kubeletVersion: textAt(node, 'status', 'nodeInfo', 'kubeletVersion'),
  }
}

/** The configuration in the cluster; none is read where files give all of it. */
async function textsOf(api: Api, flags: DiffFlags): Promise<ConfigTexts> {
  const { meshConfigFile, valuesFile, injectConfigFile } = flags
  const isGiven = [meshConfigFile, valuesFile, injectConfigFile].every((file) => file !== undefined)
  return isGiven ? {} : readSourcesOf(api, flags)
}
