/** Keeps the caBundle of our MutatingWebhookConfigurations right, as long as this process leads. */
import type { Bundle } from '../cluster/verify.ts'
import type { Problem, Read } from '../core/problem.ts'
import { patchAll, type Patcher } from './ca-bundle/patcher.ts'
import type { Leader } from './leader.ts'

/** Where the bundle comes from: a file, or the own CA. */
export type BundleSource = {
  /** What API servers have to trust now. */
  readonly load: () => Promise<Read<Bundle>>
  /**
   * Does what is due once every bundle has been right for `inSyncMs`. `isDone` when nothing changed;
   * `waitMs` says when to come again for what waits, undefined when nothing does.
   */
  readonly advance: (
    inSyncMs: number,
  ) => Promise<{ readonly isDone: boolean; readonly waitMs: number | undefined }>
}

/** A duty of the leader that goes on until it is closed. */
export type Duty = {
  /** Something may have changed: look now. */
  readonly poke: () => void
  /** Ends it; waits for what is under way. */
  readonly close: () => Promise<void>
}

/** What keeping bundles needs of the world. */
export type BundleKeeper = Patcher & {
  readonly leader: Leader
  readonly source: BundleSource
  /** The certificate, with its chain, that this process serves, PEM; undefined before there is one. */
  readonly served: () => string | undefined
  /** Why there is no bundle, once until it is another reason. */
  readonly refused: (problems: readonly Problem[]) => void
  /** A pass that threw: a bug of ours. */
  readonly broke: (error: unknown) => void
  readonly resyncMs?: number
}

/** Milliseconds between two looks when nobody says that something changed. */
const RESYNC_MS = 30_000
/** Milliseconds between two looks at most, and after one that went wrong. */
const GATHER_MS = 50
const RETRY_MS = 1000

/** Begins to look whenever it is poked, and now and then. */
export function keepBundles(keeper: BundleKeeper): Duty {
  const { leader, source, served, resyncMs = RESYNC_MS } = keeper
  /** Which bundle every entry has had since when, by a clock that only goes forward. */
  let inSync: { readonly text: string; readonly since: number } | undefined
  let told = ''

  /** Milliseconds until the next look. */
  const pass = async (): Promise<number> => {
    if (!leader.isLeading()) {
      inSync = undefined
      return resyncMs
    }
    const bundle = await source.load()
    const problems = bundle.ok ? '' : JSON.stringify(bundle.problems)
    if (!bundle.ok && problems !== told) keeper.refused(bundle.problems)
    told = problems
    const chain = served()
    if (!bundle.ok || chain === undefined) {
      inSync = undefined
      return RETRY_MS
    }
    const { text } = bundle.value
    const { written, isInSync } = await patchAll(keeper, bundle.value, chain)
    if (!isInSync) inSync = undefined
    else if (inSync?.text !== text || written > 0) inSync = { text, since: performance.now() }
    const { isDone, waitMs } = await source.advance(
      inSync === undefined ? 0 : performance.now() - inSync.since,
    )
    if (!isDone) return GATHER_MS
    return isInSync ? Math.min(resyncMs, waitMs ?? resyncMs) : RETRY_MS
  }

  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let isPoked = false
  let isClosed = false
  const run = (): void => {
    isPoked = false
    running = pass()
      .catch((error: unknown) => {
        keeper.broke(error)
        return RETRY_MS
      })
      .then((ms) => {
        running = undefined
        later(isPoked ? GATHER_MS : ms)
      })
  }
  const later = (ms: number): void => {
    clearTimeout(timer)
    if (!isClosed) timer = setTimeout(run, ms)
  }
  later(0)
  return {
    poke: () => {
      if (isPoked) return
      isPoked = true
      if (running === undefined) later(GATHER_MS)
    },
    close: async () => {
      isClosed = true
      clearTimeout(timer)
      await running
    },
  }
}
