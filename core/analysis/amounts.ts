/** Resource amounts as whole numbers of billionths, which Kubernetes knows nothing below: sums are exact. */
import { containersIn } from '../inject/order.ts'
import { readQuantity } from '../inject/quantity.ts'
import { isObject } from '../json.ts'
import type { Container, Pod } from '../k8s.ts'

/** An amount in billionths of the unit. */
export type Nanos = bigint

/** The part of a container's resources that is meant. */
export type AmountKind = 'requests' | 'limits'

/** Amounts by the name of the resource. */
export type Amounts = Readonly<Record<string, Nanos>>

/** Powers of ten above which an amount is none that any node has, and would only take time. */
const MOST_POWERS = 30

/** Reads an amount; undefined for what is none. */
export function nanosOf(text: unknown): Nanos | undefined {
  if (typeof text !== 'string' && typeof text !== 'number') return undefined
  const read = readQuantity('', String(text))
  if (!read.ok || read.value.exponent > MOST_POWERS || read.value.exponent < -9) return undefined
  return read.value.digits * 10n ** BigInt(read.value.exponent + 9)
}

/** Reads a map of amounts; members that are none are left out. */
export function readAmounts(map: unknown): Amounts {
  const amounts: Record<string, Nanos> = {}
  for (const [name, text] of isObject(map) ? Object.entries(map) : []) {
    const amount = nanosOf(text)
    if (amount !== undefined) amounts[name] = amount
  }
  return amounts
}

/** What a container asks for: the API server takes the limit for a request that is missing. */
export function amountsOf({ resources }: Container): Readonly<Record<AmountKind, Amounts>> {
  const limits = readAmounts(resources?.limits)
  return { limits, requests: { ...limits, ...readAmounts(resources?.requests) } }
}

/** What a pod needs of a resource: all that runs at once, or more while an init container runs. */
export function podAmount(
  pod: Pod,
  amountOf: (container: Container) => Nanos | undefined,
): Nanos | undefined {
  let sidecars: Nanos | undefined
  let most: Nanos | undefined
  for (const container of containersIn(pod, 'initContainers')) {
    const now = plus(sidecars, amountOf(container))
    if (container.restartPolicy === 'Always') sidecars = now
    most = larger(most, now)
  }
  const apps = containersIn(pod, 'containers')
  const all = apps.reduce((sum, each) => plus(sum, amountOf(each)), sidecars)
  return larger(most, all)
}

/** The sum; nothing and something is something. */
export function plus(a: Nanos | undefined, b: Nanos | undefined): Nanos | undefined {
  return a === undefined || b === undefined ? (a ?? b) : a + b
}

function larger(a: Nanos | undefined, b: Nanos | undefined): Nanos | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return a > b ? a : b
}

/** An amount for people: thousandths below ten units, binary megabytes where it divides. */
export function printNanos(amount: Nanos): string {
  const unit = 1_000_000_000n
  if (amount % unit !== 0n) return `${amount / 1_000_000n}m`
  const whole = amount / unit
  const mebi = 1024n * 1024n
  return whole >= mebi && whole % mebi === 0n ? `${whole / mebi}Mi` : String(whole)
}
