/** What the leader does about the own CA: makes it, rotates it, puts it back when it went away. */
import { JSON_PATCH, type Api, type ApiRequest } from '../../cluster/api.ts'
import { bad, type Read } from '../../core/problem.ts'
import { ask, isConflict, type Asked } from '../asked.ts'
import { FIELD_MANAGER } from '../ca-bundle/patcher.ts'
import type { BundleSource } from '../ca-bundle.ts'
import { makeAuthority } from './leaf.ts'
import type { AuthoritySecret } from './leaves.ts'
import { afterStep, isRotating, nextStep, withNext, type Step } from './rotation.ts'
import {
  bundleOf,
  printSecret,
  printStep,
  readState,
  type AuthorityState,
  type Kept,
} from './state.ts'

/** What the keeper of a CA needs of the world. */
export type Keeper = {
  /** Refuses to write when this process does not lead. */
  readonly api: Pick<Api, 'call'>
  readonly secret: AuthoritySecret
  readonly labels: Readonly<Record<string, string>>
  /** Milliseconds in which every API server sees a new bundle. */
  readonly delayMs: number
  /** What this replica knew of the CA last: what a Secret that went away is made of again. */
  readonly known: () => Kept | undefined
  readonly did: (what: Step['do'] | 'make' | 'restore', why: string) => void
  /** A step that the API server did not take; it is tried again. */
  readonly failed: (what: Step['do'], why: string) => void
}

/** Milliseconds until a step that the API server did not take is tried again. */
const RETRY_MS = 1000

/** The CA in the Secret as the source of the bundle. */
export function keepAuthority(keeper: Keeper): BundleSource {
  const { api, secret, delayMs, did } = keeper
  const path = `/api/v1/namespaces/${encodeURIComponent(secret.namespace)}/secrets`
  const one = `${path}/${encodeURIComponent(secret.name)}`
  let state: AuthorityState | undefined

  const write = (request: ApiRequest): Promise<Asked> => {
    return ask(api, { ...request, query: { fieldManager: FIELD_MANAGER } })
  }
  const read = (asked: Asked): Read<AuthorityState> => {
    const name = `Secret ${secret.namespace}/${secret.name}`
    return asked.ok
      ? readState(name, asked.body)
      : bad(name, asked.why, 'a Secret that can be read')
  }
  const create = async (): Promise<Read<AuthorityState>> => {
    const known = keeper.known()
    const kept: Kept = known ?? {
      ca: await makeAuthority(new Date()),
      next: undefined,
      old: '',
      oldUntil: undefined,
      leaves: '',
    }
    const body = printSecret(secret.name, keeper.labels, kept)
    const made = await write({ method: 'POST', path, body })
    if (made.ok) did(known === undefined ? 'make' : 'restore', 'there was no Secret')
    return read(isConflict(made) ? await ask(api, { path: one }) : made)
  }
  return {
    load: async () => {
      const found = await ask(api, { path: one })
      const loaded = !found.ok && found.status === 404 ? await create() : read(found)
      state = loaded.ok ? loaded.value : undefined
      return loaded.ok ? bundleOf(loaded.value) : loaded
    },
    advance: async (inSyncMs) => {
      const now = new Date()
      const from = state
      if (from === undefined) return { isDone: true, waitMs: undefined }
      const step = nextStep(from, { now, inSyncMs, delayMs })
      if (step === undefined) {
        const waitMs = isRotating(from, now) ? Math.max(0, delayMs - inSyncMs) : undefined
        return { isDone: true, waitMs }
      }
      const to =
        step.do === 'publish-next'
          ? withNext(from, await makeAuthority(now), step.oldUntil)
          : afterStep(from, step, now)
      const body = printStep(from, to)
      const written = await write({ method: 'PATCH', path: one, contentType: JSON_PATCH, body })
      if (written.ok) did(step.do, whyOf(step))
      if (written.ok || isConflict(written)) return { isDone: false, waitMs: undefined }
      keeper.failed(step.do, written.why)
      return { isDone: true, waitMs: RETRY_MS }
    },
  }
}

function whyOf(step: Step): string {
  switch (step.do) {
    case 'renew-leaves':
    case 'publish-next':
      return step.why
    case 'switch':
      return 'every API server has had time to see the new CA'
    case 'retire-old':
      return 'no leaf of the old CA is served any more'
    case 'ignore':
      return `want leaf or ca, got ${step.request}`
  }
}
