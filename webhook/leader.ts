/** Leader election by a Lease: one replica writes, the others stand by. */
import { JSON_PATCH, type Api, type ApiRequest } from '../cluster/api.ts'
import { ask, isConflict, type Asked } from './asked.ts'
import { newLease, readLease, release, renewal, takeOver, type Lease } from './leader/lease.ts'

/** Whether this process leads. */
export type Leader = {
  /** Whether it may write now; false on its own once the lease was not renewed in time. */
  readonly isLeading: () => boolean
  /** Calls `listener` whenever that changes. */
  readonly onChange: (listener: (isLeading: boolean) => void) => void
  /** Stops, and gives the lease back if it holds it. */
  readonly close: () => Promise<void>
}

/** What an election is about. */
export type Election = {
  readonly api: Pick<Api, 'call'>
  readonly namespace: string
  /** Of the Lease. */
  readonly name: string
  /** Who this process is: no other one may have the same. */
  readonly identity: string
  /** How long a dead leader keeps others waiting. */
  readonly seconds: number
  /** Why the Lease can be neither read nor written, once until it can be again. */
  readonly failed: (why: string) => void
}

/**
 * Shares of the lease time. A leader that cannot renew stops after two thirds and looks each two
 * fifteenths, as Kubernetes' own components do (10 s and 2 s of 15). Others begin after five sixths
 * without a renewal, so that they lead within the lease time although they see a renewal late; a
 * sixth lies between the two.
 */
const RENEW_SHARE = 2 / 3
const RETRY_SHARE = 2 / 15
const WAIT_SHARE = 5 / 6

/** Begins to stand for leader. Times are measured by a clock that only goes forward. */
export function standForLeader(election: Election): Leader {
  const { api, identity, seconds, failed } = election
  const collection = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(election.namespace)}/leases`
  const path = `${collection}/${encodeURIComponent(election.name)}`
  const retryMs = Math.max(50, seconds * 1000 * RETRY_SHARE)
  const callSeconds = Math.max(1, Math.floor(seconds / 3))
  const listeners: ((isLeading: boolean) => void)[] = []
  const state = { heldUntil: -Infinity, wasLeading: false, isClosed: false, isFailing: false }
  /** The Lease as it was seen last, and since when it has looked like that. */
  let seen: { readonly lease: Lease; readonly since: number } | undefined
  let next: NodeJS.Timeout | undefined
  let expiry: NodeJS.Timeout | undefined

  const isLeading = (): boolean => performance.now() < state.heldUntil
  const tell = (): void => {
    const leads = isLeading()
    if (leads === state.wasLeading) return
    state.wasLeading = leads
    for (const listener of listeners) listener(leads)
  }
  const hold = (from: number): void => {
    state.heldUntil = from + seconds * 1000 * RENEW_SHARE
    clearTimeout(expiry)
    awaitExpiry()
    tell()
  }
  /** Timers go by a clock of whole milliseconds, so one may fire a moment too soon; then there is another. */
  const awaitExpiry = (): void => {
    const left = Math.max(1, Math.ceil(state.heldUntil - performance.now()))
    expiry = setTimeout(() => {
      tell()
      if (isLeading()) awaitExpiry()
    }, left)
  }
  const see = (body: unknown): Lease => {
    const lease = readLease(body)
    if (seen?.lease.resourceVersion !== lease.resourceVersion) {
      seen = { lease, since: performance.now() }
    }
    return lease
  }
  /** Milliseconds until the Lease as it was seen last may be taken over. */
  const waitMs = (): number => {
    if (seen === undefined) return Infinity
    return seen.since + seen.lease.seconds * 1000 * WAIT_SHARE - performance.now()
  }
  const claim = () => ({ holder: identity, seconds, now: new Date() })
  const call = (request: ApiRequest): Promise<Asked> => {
    return ask(api, { ...request, seconds: callSeconds })
  }
  const write = (body: unknown): Promise<Asked> => {
    return call({ method: 'PATCH', path, contentType: JSON_PATCH, body })
  }
  /** Holds the lease from before the write was sent: whoever waits for us began to wait later. */
  const win = async (asked: (from: number) => Promise<Asked>): Promise<Asked> => {
    const from = performance.now()
    const outcome = await asked(from)
    if (outcome.ok) {
      see(outcome.body)
      hold(from)
    }
    return outcome
  }
  const attempt = async (): Promise<Asked> => {
    const known = seen?.lease
    if (known?.holder === identity) {
      const renewed = await win(() => write(renewal(known, claim())))
      // Refused, it is looked at anew: somebody has taken it over, or deleted it.
      if (renewed.ok || renewed.status === 0) return renewed
    }
    const found = await call({ path })
    if (!found.ok) {
      if (found.status !== 404) return found
      const body = newLease(election.name, claim())
      return win(() => call({ method: 'POST', path: collection, body }))
    }
    const lease = see(found.body)
    if (lease.holder === identity) return win(() => write(renewal(lease, claim())))
    if (lease.holder !== '' && waitMs() > 0) return found
    return win(() => write(takeOver(lease, claim())))
  }
  const run = async (): Promise<void> => {
    const outcome = await attempt()
    if (outcome.ok || isConflict(outcome)) state.isFailing = false
    else if (!state.isFailing) {
      state.isFailing = true
      failed(outcome.why)
    }
  }
  let running = Promise.resolve()
  const loop = (): void => {
    running = run().finally(() => {
      // Spread, so that contenders who started together do not stay together.
      const spread = retryMs * (0.8 + Math.random() * 0.2)
      const wait = waitMs()
      if (!state.isClosed) next = setTimeout(loop, wait > 0 ? Math.min(spread, wait) : spread)
    })
  }
  loop()
  return {
    isLeading,
    onChange: (listener) => void listeners.push(listener),
    close: async () => {
      state.isClosed = true
      clearTimeout(next)
      await running
      clearTimeout(expiry)
      const held = isLeading() ? seen?.lease : undefined
      state.heldUntil = -Infinity
      tell()
      if (held !== undefined) await write(release(held, new Date()))
    },
  }
}

/** The same API server for a leader: what writes is refused once the lease is over. */
export function whileLeading(api: Pick<Api, 'call'>, leader: Leader): Pick<Api, 'call'> {
  return {
    call: async (request) => {
      const isRead = request.method === undefined || request.method === 'GET'
      if (!isRead && !leader.isLeading()) throw new Error('the lease is over')
      return api.call(request)
    },
  }
}
