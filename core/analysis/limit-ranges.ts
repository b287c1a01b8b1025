/** LimitRange (Kubernetes, "Limit Ranges"; plugin/pkg/admission/limitranger): defaults first, then bounds. */
import { INIT_CONTAINER, PROXY_CONTAINER, VALIDATION_CONTAINER } from '../constants.ts'
import { containersIn } from '../inject/order.ts'
import type { Container, Pod } from '../k8s.ts'
import {
  amountsOf,
  podAmount,
  printNanos,
  readAmounts,
  type Amounts,
  type Nanos,
} from './amounts.ts'
import { mapAt, objectsAt, type Finding, type Subject } from './model.ts'

/** One item of a LimitRange. */
export type LimitItem = {
  /** Name of the LimitRange. */
  readonly range: string
  readonly type: 'Container' | 'Pod'
  readonly min: Amounts
  readonly max: Amounts
  readonly ratio: Amounts
  /** For containers that do not say. */
  readonly limits: Amounts
  readonly requests: Amounts
}

/** Reads the items that bear on pods. */
export function readLimitRange({ name, value }: Subject): readonly LimitItem[] {
  return objectsAt(mapAt(value, 'spec'), 'limits').flatMap((item): readonly LimitItem[] => {
    const { type } = item
    if (type !== 'Container' && type !== 'Pod') return []
    const read = (key: string): Amounts => readAmounts(item[key])
    const [min, max] = [read('min'), read('max')]
    const isContainer = type === 'Container'
    // The API server fills in what is missing: limits from the maximum, requests from limits, then the minimum.
    const limits = isContainer ? { ...max, ...read('default') } : {}
    const requests = isContainer ? { ...min, ...limits, ...read('defaultRequest') } : {}
    return [{ range: name, type, min, max, ratio: read('maxLimitRequestRatio'), limits, requests }]
  })
}

/**
 * What the LimitRanges of the namespace refuse about an injected pod and would not refuse without its
 * proxy. `path` is where the pod stands.
 */
export function findLimits(
  before: Pod,
  after: Pod,
  items: readonly LimitItem[],
  path: string,
): readonly Finding[] {
  const findings: Finding[] = []
  const say = (name: string, got: string, want: string, item: LimitItem): void => {
    const told = {
      path: `${path}/spec`,
      got: `${name}: ${got}`,
      want: `${want} (LimitRange ${item.range})`,
    }
    findings.push({ code: 'SI0504', ...told })
  }
  for (const item of items) {
    if (item.type === 'Container') {
      for (const container of injectedContainers(after)) {
        const { requests, limits } = withDefaults(container, items)
        for (const [got, want] of breaches(requests, limits, item))
          say(container.name, got, want, item)
      }
      continue
    }
    const known = new Set(breaches(...sums(before, items), item).map(([, want]) => want))
    for (const [got, want] of breaches(...sums(after, items), item)) {
      if (!known.has(want)) say('the pod with its proxy', got, want, item)
    }
  }
  return findings
}

/** The containers of a pod that injection made. */
export function injectedContainers(pod: Pod): readonly Container[] {
  const all = [...containersIn(pod, 'initContainers'), ...containersIn(pod, 'containers')]
  return all.filter(({ name }) => INJECTED.includes(name))
}

const INJECTED = [PROXY_CONTAINER, INIT_CONTAINER, VALIDATION_CONTAINER]

/** What a container asks for once the LimitRanges have filled in what it does not say. */
export function withDefaults(container: Container, items: readonly LimitItem[]) {
  const own = amountsOf(container)
  let { requests, limits } = own
  for (const item of items) {
    if (item.type !== 'Container') continue
    limits = { ...item.limits, ...limits }
    requests = { ...item.requests, ...requests }
  }
  return { requests, limits }
}

type Breach = readonly [got: string, want: string]

function breaches(requests: Amounts, limits: Amounts, item: LimitItem): readonly Breach[] {
  const found: Breach[] = []
  const say = (kind: string, name: string, amount: Nanos | undefined, want: string): void => {
    const got =
      amount === undefined ? `no ${kind}.${name}` : `${kind}.${name} ${printNanos(amount)}`
    found.push([got, want])
  }
  for (const [name, least] of Object.entries(item.min)) {
    const want = `at least ${printNanos(least)} ${name}`
    const [request, limit] = [requests[name], limits[name]]
    if (request === undefined || request < least) say('requests', name, request, want)
    else if (limit !== undefined && limit < least) say('limits', name, limit, want)
  }
  for (const [name, most] of Object.entries(item.max)) {
    const want = `at most ${printNanos(most)} ${name}`
    const [request, limit] = [requests[name], limits[name]]
    if (limit === undefined || limit > most) say('limits', name, limit, want)
    else if (request !== undefined && request > most) say('requests', name, request, want)
  }
  for (const [name, most] of Object.entries(item.ratio)) {
    const want = `a limit of at most ${printNanos(most)} times the request of ${name}`
    const [request = 0n, limit = 0n] = [requests[name], limits[name]]
    // Compared as products, so that nothing is rounded: both sides hold a billionth twice.
    if (request === 0n || limit === 0n) say('limits', name, limits[name], want)
    else if (limit * 1_000_000_000n > request * most) say('limits', name, limit, want)
  }
  return found
}

function sums(
  pod: Pod,
  items: readonly LimitItem[],
): readonly [requests: Amounts, limits: Amounts] {
  const names = new Set(
    items.flatMap(({ min, max, ratio }) => Object.keys({ ...min, ...max, ...ratio })),
  )
  const total = (kind: 'requests' | 'limits'): Amounts => {
    const amounts: Record<string, Nanos> = {}
    for (const name of names) {
      const sum = podAmount(pod, (container) => withDefaults(container, items)[kind][name])
      if (sum !== undefined) amounts[name] = sum
    }
    return amounts
  }
  return [total('requests'), total('limits')]
}
