/** The whole command: reads the pod, finds its network, looks round, judges, tells. Nothing is written anywhere. */
import { makeApi } from '../cluster/api.ts'
import { connect } from '../cluster/connect.ts'
import { lookAt } from '../cluster/look.ts'
import { readTarget } from '../cluster/target.ts'
import { ADMIN_PORT, readAsked, type Asked } from '../core/describe/asked.ts'
import { inOrder, type Contradiction } from '../core/describe/contradiction.ts'
import { deciderOf } from '../core/describe/decider.ts'
import { judge, type Case } from '../core/describe/judge.ts'
import { passages } from '../core/describe/packets.ts'
import { printDescription, verdictOf, type Verdict } from '../core/describe/print.ts'
import { ourRules } from '../core/describe/seen.ts'
import { readPod } from '../core/inject/pod-shape.ts'
import type { Pod } from '../core/k8s.ts'
import { bad, Refusal, visible, type Read } from '../core/problem.ts'
import { printRule } from '../core/rules/iptables.ts'
import { makeWhy } from '../core/rules/why.ts'
import { checkGuard } from '../iptables-init/guard.ts'
import { makeQuickRun } from '../iptables-init/run.ts'
import type { DescribeFlags } from './describe-command.ts'
import { look } from './describe-look.ts'
import { findPlace, type Place } from './describe-place.ts'
import { wantedOf } from './describe-wanted.ts'
import { choosePod, podsOf, readManifests } from './manifests.ts'

/** What is printed, and how it ended. */
export type Described = { readonly text: string; readonly verdict: Verdict }

/** Describes a pod, or a network without one. Throws a Refusal for what cannot be read. */
export async function describe(
  target: string | undefined,
  flags: DescribeFlags,
): Promise<Described> {
  const pod = await podOf(target, flags)
  const asked = pod === undefined ? undefined : ok(readAsked(pod))
  const place = await findPlace(flags, pod)
  if (typeof place === 'string') return notHere(place, asked, flags.output)
  try {
    const one = await examine(asked, place)
    const found = inOrder([...forged(asked), ...judge(one)])
    const text =
      flags.output === 'json'
        ? `${JSON.stringify(toJson(one, found, place), null, 2)}\n`
        : printDescription(one, found, place.name, makeWhy())
    return { text, verdict: verdictOf(one, found).verdict }
  } finally {
    await place.release()
  }
}

async function examine(asked: Asked | undefined, place: Place): Promise<Case> {
  const run = makeQuickRun({ networkNamespace: place.netns })
  const seen = await look(run, place, asked?.adminPort ?? ADMIN_PORT)
  const wanted = asked === undefined ? undefined : await wantedOf(asked, seen, run, place)
  return { asked, wanted, seen, passages: passages(asked, wanted, seen) }
}

async function podOf(target: string | undefined, flags: DescribeFlags): Promise<Pod | undefined> {
  if (target !== undefined) return ok(await fetchPod(target, flags))
  if (flags.filename.length === 0) return undefined
  const pods = podsOf(await readManifests(flags.filename), flags.namespace)
  return ok(choosePod(pods, flags.pod))
}

async function fetchPod(text: string, { kubeconfig, context }: DescribeFlags): Promise<Read<Pod>> {
  const target = readTarget('NAMESPACE/POD', text)
  if (!target.ok) return target
  const { kind, path, name } = target.value
  if (kind !== 'Pod')
    return bad('NAMESPACE/POD', text, 'a pod: a workload has no network of its own')
  const api = makeApi(
    await connect({
      ...(kubeconfig !== undefined && { kubeconfig }),
      ...(context !== undefined && { context }),
    }),
  )
  try {
    const found = await lookAt(api, path, name)
    switch (found.kind) {
      case 'found':
        return readPod(`pod ${text}`, found.value)
      case 'missing':
        return bad('NAMESPACE/POD', text, 'a pod that the API server knows')
      case 'unseen':
        return bad(`pod ${text}`, found.why, `an answer of ${api.server.origin}`)
    }
  } finally {
    api.close()
  }
}

function notHere(
  why: string,
  asked: Asked | undefined,
  output: DescribeFlags['output'],
): Described {
  const text =
    output === 'json'
      ? `${JSON.stringify({ verdict: 'unknown', says: why, asked }, null, 2)}\n`
      : `${visible(why)}\n`
  return { text, verdict: 'unknown' }
}

/** The plan that the node obeyed, where it is not the one that injection wrote. */
function forged(asked: Asked | undefined): readonly Contradiction[] {
  const lines = asked?.run === undefined ? [] : checkGuard(asked.run)
  return lines.map((says): Contradiction => {
    const remedy =
      'delete the pod, let its owner create it anew, and find who changed the annotation'
    return { code: 'plan-changed', says, remedy }
  })
}

function toJson(one: Case, found: readonly Contradiction[], { name }: Place): object {
  const { asked, wanted, seen } = one
  return {
    ...verdictOf(one, found),
    place: name,
    asked,
    addresses: seen.addresses,
    packets: one.passages.map((passage) => {
      return { ...passage, live: passage.live.end, engine: deciderOf(passage)?.source }
    }),
    listeners: seen.listeners,
    envoy: seen.admin,
    counters: ourRules(seen).map(({ rule, ...at }) => {
      return { ...at, rule: printRule(rule), packets: rule.counted?.packets }
    }),
    differences: wanted?.drift ?? [],
    unseen: seen.unseen.map(({ says }) => says),
    contradictions: found,
  }
}

function ok<T>(outcome: Read<T>): T {
  if (!outcome.ok) throw new Refusal(outcome.problems)
  return outcome.value
}
