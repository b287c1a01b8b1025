/** Each replica's own leaf, made in memory by the CA in the Secret and made anew long before its end. */
import type { Api } from '../../cluster/api.ts'
import { watchOne, type Watched } from '../../cluster/watch.ts'
import { isSame, type JsonObject } from '../../core/json.ts'
import type { Problem } from '../../core/problem.ts'
import { keepLastGood, type LastGood, type Report } from '../last-good.ts'
import type { Certified } from '../tls/reload.ts'
import { makeServing } from './leaf.ts'
import { hasLived, LEAF_SHARE } from './rotation.ts'
import { readState, type AuthorityState } from './state.ts'

/** Which Secret holds the CA. */
export type AuthoritySecret = { readonly namespace: string; readonly name: string }

/** The leaf of this replica and the CA as this replica knows it. */
export type Leaves = Omit<LastGood<Certified, undefined>, 'offer'> & {
  /** The last state that could be read; the Secret may be gone since. */
  readonly authority: () => AuthorityState | undefined
  /** Calls `listener` whenever the Secret has changed, or gone away. */
  readonly onSecret: (listener: () => void) => void
  readonly close: () => void
}

/** Milliseconds between two looks at the age of the leaf. */
const LOOK_MS = 60 * 60_000

/** What keeps a replica without a certificate, before the Secret is there. */
export function waitingFor({ namespace, name }: AuthoritySecret): Problem {
  return {
    path: `Secret ${namespace}/${name}`,
    got: 'none yet',
    want: 'an own CA, which the leader makes',
  }
}

/** Watches the Secret. Without it, or while it is wrong, the last leaf goes on serving. */
export function watchLeaves(
  api: Api,
  secret: AuthoritySecret,
  hosts: readonly string[],
  report: Report<Certified>,
  watching: Pick<Watched<never>, 'onFailure' | 'timing'> = {},
  lookMs = LOOK_MS,
): Leaves {
  const path = `Secret ${secret.namespace}/${secret.name}`
  const secretListeners: (() => void)[] = []
  const leaf = keepLastGood<Certified, undefined>(report, undefined)
  let authority: AuthorityState | undefined
  let madeFor: object | undefined
  let isClosed = false

  const refuse = (problems: readonly Problem[]): void => {
    if (!isSame(problems, leaf.problems())) leaf.offer({ ok: false, problems })
  }
  const renew = async (): Promise<void> => {
    if (authority === undefined || isClosed) return
    const { ca, leaves } = authority
    const wanted = { cert: ca.cert, key: ca.key, leaves }
    const now = new Date()
    const current = leaf.current()
    const isNew = current === undefined || !isSame(madeFor, wanted)
    if (!isNew && leaf.problems().length === 0 && !hasLived(current, LEAF_SHARE, now)) return
    const made = await makeServing(path, ca, hosts, now)
    if (!made.ok) {
      refuse(made.problems)
      return
    }
    madeFor = wanted
    leaf.offer(made)
  }
  const take = (object: JsonObject | undefined): void => {
    if (object === undefined) {
      refuse([waitingFor(secret)])
      return
    }
    const read = readState(path, object)
    if (!read.ok) {
      refuse(read.problems)
      return
    }
    authority = read.value
    soon()
  }
  /** One after the other: two leaves under way could overtake each other. */
  let making = Promise.resolve()
  const soon = (): void => {
    making = making.then(renew).catch((error: unknown) => {
      const got = error instanceof Error ? error.message : String(error)
      refuse([{ path, got, want: 'a CA that signs a leaf' }])
    })
  }
  const watch = watchOne<JsonObject>(api, secret.name, {
    path: `/api/v1/namespaces/${encodeURIComponent(secret.namespace)}/secrets`,
    keep: (object) => object,
    ...watching,
    onFailure: (failure) => {
      watching.onFailure?.(failure)
      if (failure !== undefined && authority === undefined) {
        refuse([{ path, got: failure.error, want: 'a cluster that can be read' }])
      }
    },
  })
  watch.onChange((object) => {
    take(object)
    for (const listener of secretListeners) listener()
  })
  const timer = setInterval(soon, lookMs)
  timer.unref()
  return {
    current: leaf.current,
    onChange: leaf.onChange,
    problems: () => {
      const problems = leaf.problems()
      return leaf.current() === undefined && problems.length === 0 ? [waitingFor(secret)] : problems
    },
    authority: () => authority,
    onSecret: (listener) => void secretListeners.push(listener),
    close: () => {
      isClosed = true
      clearInterval(timer)
      watch.close()
    },
  }
}
