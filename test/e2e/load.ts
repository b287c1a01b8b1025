/** Pods that are created at a steady rate, and what became of each. */
import { isArray, isObject } from '../../core/json.ts'
import type { ControlPlane } from './control-plane.ts'

/** A Pod that the API server did not take. */
export type Failure = {
  /** Milliseconds since the load began. */
  readonly atMs: number
  /** HTTP status, 0 when no answer came. */
  readonly status: number
  readonly message: string
}

/** What came of all Pods. */
export type LoadReport = {
  readonly created: number
  /** Created without a sidecar. */
  readonly plain: number
  readonly failures: readonly Failure[]
  /** Milliseconds of the slowest creation. */
  readonly slowestMs: number
  readonly seconds: number
}

/** A load under way. */
export type Load = {
  /** What is known so far. */
  readonly report: () => LoadReport
  /** Creates this many more at once, so that more than one connection is needed. */
  readonly burst: (count: number) => void
  /** Ends it, and waits for what is under way. */
  readonly stop: () => Promise<LoadReport>
}

/** What a test may say of its load. */
export type LoadOptions = {
  readonly namespace: string
  readonly perSecond: number
  /** Nothing is stored; the admission is the same. */
  readonly isDryRun?: boolean
  /**
   * Pods under way at most, besides bursts; by default fewer than the 25 connections that an API server keeps. A
   * machine that is too slow for the rate gets what it can do: a queue that grows, and a handshake for each in it,
   * would end in timeouts, whatever the webhook does. `created` tells of it.
   */
  readonly atOnce?: number
}

/** Begins to create Pods: each at its time, whether or not those before have been answered. */
export function createSteadily(
  { request }: ControlPlane,
  { namespace, perSecond, isDryRun = false, atOnce = 20 }: LoadOptions,
): Load {
  const began = performance.now()
  const failures: Failure[] = []
  const count = { started: 0, created: 0, plain: 0, slowestMs: 0 }
  const underWay = new Set<Promise<void>>()
  const query = isDryRun ? '?dryRun=All' : ''
  const path = `/api/v1/namespaces/${namespace}/pods${query}`

  const create = async (): Promise<void> => {
    const sent = performance.now()
    const fail = (status: number, message: string): void => {
      failures.push({ atMs: Math.round(sent - began), status, message })
    }
    try {
      const { status, body } = await request('POST', path, POD)
      if (status !== 201) fail(status, messageOf(body))
      else if (hasSidecar(body)) count.created++
      else count.plain++
    } catch (error) {
      fail(0, String(error))
    }
    count.slowestMs = Math.max(count.slowestMs, performance.now() - sent)
  }
  const begin = (): void => {
    const one = create().finally(() => underWay.delete(one))
    underWay.add(one)
  }
  const timer = setInterval(() => {
    // By the clock, so that a late timer does not thin the load out.
    const due = Math.floor(((performance.now() - began) / 1000) * perSecond)
    for (; count.started < due; count.started++) if (underWay.size < atOnce) begin()
  }, 1000 / perSecond)
  // A test that fails before it stops its load ends all the same.
  timer.unref()

  const report = (): LoadReport => ({
    created: count.created,
    plain: count.plain,
    failures: [...failures],
    slowestMs: Math.round(count.slowestMs),
    seconds: Math.round((performance.now() - began) / 100) / 10,
  })
  return {
    report,
    burst: (count) => {
      for (let more = 0; more < count; more++) begin()
    },
    async stop() {
      clearInterval(timer)
      await Promise.all(underWay)
      return report()
    },
  }
}

/** For `t.comment`: one line of figures. */
export function printReport({ created, plain, failures, slowestMs, seconds }: LoadReport): string {
  return (
    `${created} Pods injected in ${seconds} s, ${plain} came plain, ${failures.length} failed, ` +
    `slowest ${slowestMs} ms`
  )
}

const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { generateName: 'steady-', labels: { app: 'steady' } },
  spec: { containers: [{ name: 'app', image: 'nginx:1.29', ports: [{ containerPort: 80 }] }] },
}

function hasSidecar(pod: unknown): boolean {
  const spec = isObject(pod) ? pod['spec'] : undefined
  const lists = isObject(spec) ? [spec['containers'], spec['initContainers']] : []
  return lists
    .flatMap((list) => (isArray(list) ? list : []))
    .some((container) => isObject(container) && container['name'] === 'istio-proxy')
}

function messageOf(body: unknown): string {
  const message = isObject(body) ? body['message'] : body
  return typeof message === 'string' ? message : ''
}
