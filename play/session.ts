/** What the page computes: a manifest and its settings in, everything that is shown out. No document here. */
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { INIT_CONTAINER, VALIDATION_CONTAINER } from '../core/constants.ts'
import { readInjectConfig } from '../core/inject/config.ts'
import type { InjectRequest } from '../core/inject/decision.ts'
import type { IstioVersion } from '../core/inject/values.ts'
import { describeDecision } from '../core/inject/why.ts'
import { isObject } from '../core/json.ts'
import { byName, type Pod } from '../core/k8s.ts'
import { readArgv, resolveProxyUser } from '../core/options/argv.ts'
import { explainPod, type Explained } from '../core/origins/origins.ts'
import { formatProblem } from '../core/problem.ts'
import { buildPlan } from '../core/rules/build.ts'
import { loadFamily } from '../core/rules/load.ts'
import type { RuleSet } from '../core/rules/model.ts'
import { readSite } from '../core/rules/site.ts'
import { parseDocuments, readYaml } from '../core/yaml.ts'
import { injectDocument } from '../kube-inject/inject-document.ts'
import { runsBetween } from '../kube-inject/unified-diff.ts'
import { reasonsByLine } from './lines.ts'

/** What the fields of the page hold. */
export type Input = {
  readonly manifest: string
  /** Istio's Helm values, YAML; empty for the defaults. */
  readonly values: string
  /** MeshConfig, YAML; empty for the defaults. */
  readonly mesh: string
  readonly istioVersion: IstioVersion
  readonly isNative: boolean
  readonly isCni: boolean
}

/** A line of the result; `why` on those that injection wrote. */
export type Line = {
  readonly in: 'both' | 'old' | 'new'
  readonly text: string
  readonly why?: string
}

/** What became of one pod, and the rules that its init container would write. */
export type Fate = {
  readonly title: string
  readonly sentence: string
  readonly isInjected: boolean
  readonly rules?: RuleSet
}

/** Everything that is shown. */
export type View = {
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
  readonly fates: readonly Fate[]
  readonly lines: readonly Line[]
}

/** Injects every pod of the manifest, and keeps the reasons. */
export function look(input: Input): View {
  const config = readInjectConfig({
    istioVersion: input.istioVersion,
    revision: '',
    digest: (text) => bytesToHex(sha256(utf8ToBytes(text))),
    values: { path: 'values', text: valuesOf(input) },
    ...(input.mesh.trim() === '' ? {} : { mesh: { path: 'mesh', text: input.mesh } }),
  })
  if (!config.ok) return failed(config.problems.map(formatProblem))
  const lines: Line[] = []
  const fates: Fate[] = []
  const warnings: string[] = []
  for (const document of parseDocuments('manifest', input.manifest)) {
    if (!document.ok) return failed(document.problems.map(formatProblem))
    const explained: Explained[] = []
    const outcome = injectDocument(document.value, 'manifest', {
      inject: (request) => {
        const one = explainPod(request, config.value)
        explained.push(one)
        fates.push(fateOf(one, request))
        return one.decision
      },
      nativeSidecars: input.isNative,
    })
    if (outcome.problems.length > 0) return failed(outcome.problems.map(formatProblem))
    warnings.push(...outcome.warnings)
    const reasons = reasonsByLine(outcome.text, explained)
    lines.push(...linesOf(document.value.text, outcome.text, reasons))
  }
  return { problems: [], warnings, fates, lines }
}

/** The values, with CNI mode in them where it is asked for. What cannot be read is left for the reader to refuse. */
function valuesOf({ values, isCni }: Input): string {
  const read = readYaml('values', values)
  const given = read.ok ? (read.value ?? {}) : undefined
  if (!isCni || !isObject(given)) return values
  const pilot = isObject(given['pilot']) ? given['pilot'] : {}
  const ours = isObject(given['sidecarInjector']) ? given['sidecarInjector'] : {}
  const cni = isObject(pilot['cni']) ? pilot['cni'] : {}
  return JSON.stringify({
    ...given,
    pilot: { ...pilot, cni: { ...cni, enabled: true } },
    sidecarInjector: { ...ours, cniAnnotation: true },
  })
}

function failed(problems: readonly string[]): View {
  return { problems, warnings: [], fates: [], lines: [] }
}

function fateOf({ decision }: Explained, { owner }: InjectRequest): Fate {
  const rules = decision.kind === 'inject' ? rulesOf(decision.pod) : undefined
  return {
    title: `${owner.kind} ${owner.name}`,
    sentence: describeDecision(decision),
    isInjected: decision.kind === 'inject',
    ...(rules === undefined ? {} : { rules }),
  }
}

/** The IPv4 rules that the arguments of a pod's init container ask for, in a pod with one address. */
function rulesOf(pod: Pod): RuleSet | undefined {
  const init = pod.spec?.initContainers
  const container = byName(init, INIT_CONTAINER) ?? byName(init, VALIDATION_CONTAINER)
  const env = Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]))
  const request = container === undefined ? undefined : readArgv(container.args ?? [], env)
  if (request?.ok !== true) return undefined
  const options = resolveProxyUser(request.value, {})
  const facts = { addresses: [POD_ADDRESS], resolvConf: 'nameserver 10.96.0.10\n', users: {} }
  const site = readSite(facts, {
    dns: options.dns,
    dualStack: options.dualStack,
    linkLocalCounts: false,
  })
  if (!site.ok) return undefined
  return loadFamily(buildPlan(options, site.value, { profile: 'current', style: 'hyphen' }), 'v4')
}

/** The address of the pod in the picture. */
export const POD_ADDRESS = '10.244.1.9'

function linesOf(
  before: string,
  after: string,
  reasons: ReadonlyMap<number, string>,
): readonly Line[] {
  let number = 0
  return runsBetween(before, after).flatMap((run) =>
    run.lines.map((line): Line => {
      const text = line.replace(/\r?\n$/, '')
      if (run.in === 'old') return { in: 'old', text }
      number++
      const why = run.in === 'new' ? reasons.get(number) : undefined
      return { in: run.in, text, ...(why === undefined ? {} : { why }) }
    }),
  )
}
