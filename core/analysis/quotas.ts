/** ResourceQuota (Kubernetes, "Resource Quotas"), as far as containers fall under it. */
import type { Pod } from '../k8s.ts'
import {
  podAmount,
  printNanos,
  readAmounts,
  type Amounts,
  type AmountKind,
  type Nanos,
} from './amounts.ts'
import { injectedContainers, withDefaults, type LimitItem } from './limit-ranges.ts'
import { mapAt, objectsAt, type Finding, type Subject } from './model.ts'

/** A quota without scopes: it counts every pod of its namespace. */
export type Quota = {
  readonly name: string
  /** By the words of the quota: `cpu`, `requests.cpu`, `limits.memory`. */
  readonly hard: Amounts
}

/** Reads a quota; one with scopes counts some pods only, and is taken for empty. */
export function readQuota({ name, value }: Subject): Quota {
  const spec = mapAt(value, 'spec')
  const isScoped =
    Array.isArray(spec['scopes']) || objectsAt(spec['scopeSelector'], 'matchExpressions').length > 0
  return { name, hard: isScoped ? {} : readAmounts(spec['hard']) }
}

/** Amounts that a quota counts and that an injected container does not say. */
export function findUnsaid(
  after: Pod,
  quotas: readonly Quota[],
  items: readonly LimitItem[],
  path: string,
): readonly Finding[] {
  return quotas.flatMap(({ name: quota, hard }) =>
    injectedContainers(after).flatMap((container) => {
      const amounts = withDefaults(container, items)
      return Object.keys(hard).flatMap((word): readonly Finding[] => {
        const counted = countedBy(word)
        if (counted === undefined || amounts[counted.kind][counted.resource] !== undefined)
          return []
        const got = `${container.name} without ${counted.kind}.${counted.resource}`
        const want = `an amount, which ResourceQuota ${quota} counts`
        return [{ code: 'SI0505', path: `${path}/spec`, got, want }]
      })
    }),
  )
}

/** What the pods of each namespace ask for, without proxies and with them. */
export type Usage = Map<string, { readonly before: Nanos; readonly after: Nanos }>

/** Adds so many copies of a pod to the usage of its namespace. */
export function addUsage(
  usage: Usage,
  namespace: string,
  quotas: readonly Quota[],
  pods: { readonly before: Pod; readonly after: Pod; readonly copies: number },
  items: readonly LimitItem[],
): void {
  const copies = BigInt(Math.max(0, Math.trunc(pods.copies)))
  for (const word of new Set(quotas.flatMap(({ hard }) => Object.keys(hard)))) {
    const counted = countedBy(word)
    if (counted === undefined) continue
    const total = (pod: Pod): Nanos => {
      const { kind, resource } = counted
      const one = podAmount(pod, (container) => withDefaults(container, items)[kind][resource])
      return (one ?? 0n) * copies
    }
    const key = usageKey(namespace, word)
    const known = usage.get(key) ?? { before: 0n, after: 0n }
    usage.set(key, {
      before: known.before + total(pods.before),
      after: known.after + total(pods.after),
    })
  }
}

/** What a quota has no room for because of the proxies. */
export function findOverruns(subject: Subject, usage: Usage): readonly Finding[] {
  return Object.entries(readQuota(subject).hard).flatMap(([word, hard]): readonly Finding[] => {
    const used = usage.get(usageKey(subject.namespace, word))
    if (used === undefined || used.after <= hard || used.before > hard) return []
    const got = `${printNanos(used.after)} with proxies, ${printNanos(used.before)} without`
    return [
      { code: 'SI0506', path: `/spec/hard/${word}`, got, want: `at most ${printNanos(hard)}` },
    ]
  })
}

function usageKey(namespace: string, word: string): string {
  return `${namespace}/${word}`
}

/** What a word of a quota counts in containers; nothing for words that count something else. */
function countedBy(
  word: string,
): { readonly kind: AmountKind; readonly resource: string } | undefined {
  const [, kind = 'requests', resource = ''] =
    /^(?:(requests|limits)\.)?(cpu|memory)$/.exec(word) ?? []
  if (resource === '') return undefined
  return { kind: kind === 'limits' ? 'limits' : 'requests', resource }
}
