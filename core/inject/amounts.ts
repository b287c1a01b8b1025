/** Requests and limits that must fit: in a container that user and template filled, and in a pod with resources of its own. */
import { isMore } from '../options/annotation-readers.ts'
import { isSame } from '../json.ts'
import type { Container, Pod } from '../k8s.ts'
import type { Problem } from '../problem.ts'
import { containersIn } from './order.ts'
import { pointer } from './pod-shape.ts'
import { printQuantity, readQuantity, type Quantity } from './quantity.ts'

type Resources = NonNullable<Container['resources']>
type Amounts = Resources['requests']

/**
 * The container with a request at most its limit. Where the user said one of the two and the template the
 * other, the template's follows: a low limit lowers the request, a high request raises the limit.
 */
export function withFittingAmounts(container: Container, template: Container): Container {
  const { requests, limits } = container.resources ?? {}
  if (requests === undefined || limits === undefined) return container
  if (isSame(container.resources, template.resources)) return container
  const tight = Object.keys(limits).filter((name) => exceeds(requests[name], limits[name]))
  if (tight.length === 0) return container
  const ours = template.resources
  const lowered = { ...requests }
  const raised = { ...limits }
  for (const name of tight) {
    const isRequestOurs = isEqual(requests[name], ours?.requests?.[name])
    const isLimitOurs = isEqual(limits[name], ours?.limits?.[name])
    if (isRequestOurs && !isLimitOurs) copy(limits, lowered, name)
    if (isLimitOurs && !isRequestOurs) copy(requests, raised, name)
  }
  return { ...container, resources: { ...container.resources, requests: lowered, limits: raised } }
}

/** Every request of a container above its limit. */
export function findTightAmounts(path: string, { resources }: Container): readonly Problem[] {
  const { requests = {}, limits = {} } = resources ?? {}
  return Object.keys(requests).flatMap((name) => {
    if (!exceeds(requests[name], limits[name])) return []
    const want = `at most the limit, which is ${String(limits[name])}`
    return [
      { path: `${path}/resources/requests${pointer(name)}`, got: String(requests[name]), want },
    ]
  })
}

/**
 * What does not fit into the amounts that the pod as a whole may have (`spec.resources`), the proxy
 * included. None where the pod names no such amounts.
 */
export function findPodAmounts(pod: Pod): readonly Problem[] {
  const whole = pod.spec?.resources
  if (whole === undefined) return []
  const names = new Set([...Object.keys(whole.requests ?? {}), ...Object.keys(whole.limits ?? {})])
  return [...names].flatMap((name) => {
    const part = whole.requests?.[name] === undefined ? 'limits' : 'requests'
    const got = whole[part]?.[name]
    const needed = total(pod, name)
    const problems = findLimits(pod, name)
    if (needed === undefined || !exceeds(printQuantity(needed), got)) return problems
    const want = `at least ${printQuantity(needed)}, which all containers ask for, the proxy included`
    return [
      { path: `/spec/resources/${part}${pointer(name)}`, got: String(got), want },
      ...problems,
    ]
  })
}

/** Limits of regular containers above that of the pod; the API server does not compare those of others. */
function findLimits(pod: Pod, name: string): readonly Problem[] {
  const most = pod.spec?.resources?.limits?.[name]
  return containersIn(pod, 'containers').flatMap((container, index) => {
    const got = container.resources?.limits?.[name]
    if (!exceeds(got, most)) return []
    const path = `/spec/containers/${index}/resources/limits${pointer(name)}`
    return [
      { path, got: String(got), want: `at most the limit of the pod, which is ${String(most)}` },
    ]
  })
}

/** What a pod needs of a resource: all that runs at once, or more while an init container runs. */
function total(pod: Pod, name: string): Quantity | undefined {
  let sidecars: Quantity | undefined
  let most: Quantity | undefined
  for (const container of containersIn(pod, 'initContainers')) {
    const now = plus(sidecars, requestOf(container, name))
    if (container.restartPolicy === 'Always') sidecars = now
    most = larger(most, now)
  }
  const apps = containersIn(pod, 'containers')
  return larger(
    most,
    apps.reduce<Quantity | undefined>((sum, app) => plus(sum, requestOf(app, name)), sidecars),
  )
}

/** The API server takes the limit for a request that is missing. */
function requestOf({ resources }: Container, name: string): Quantity | undefined {
  return amount(resources?.requests?.[name] ?? resources?.limits?.[name])
}

function plus(a: Quantity | undefined, b: Quantity | undefined): Quantity | undefined {
  if (a === undefined || b === undefined) return a ?? b
  // Powers of ten that far apart change nothing but the time that the sum takes.
  if (Math.abs(a.exponent - b.exponent) > MOST_POWERS) return larger(a, b)
  const exponent = Math.min(a.exponent, b.exponent)
  const scaled = (each: Quantity) => each.digits * 10n ** BigInt(each.exponent - exponent)
  return { digits: scaled(a) + scaled(b), exponent, notation: a.notation }
}

const MOST_POWERS = 100

function larger(a: Quantity | undefined, b: Quantity | undefined): Quantity | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return isMore(a, b) ? a : b
}

function exceeds(text: unknown, bound: unknown): boolean {
  const [one, other] = [amount(text), amount(bound)]
  return one !== undefined && other !== undefined && isMore(one, other)
}

function isEqual(text: unknown, other: unknown): boolean {
  const [one, two] = [amount(text), amount(other)]
  return one !== undefined && two !== undefined && !isMore(one, two) && !isMore(two, one)
}

function amount(text: unknown): Quantity | undefined {
  if (typeof text !== 'string' && typeof text !== 'number') return undefined
  const read = readQuantity('', String(text))
  return read.ok && read.value.digits >= 0n ? read.value : undefined
}

function copy(from: Amounts, to: Record<string, string>, name: string): void {
  const text = from?.[name]
  if (text !== undefined) to[name] = text
}
