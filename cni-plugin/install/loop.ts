/** Keeps the node as wanted: looks when something changes, and now and then without being told. */
import { reasonOf, type Log } from './log.ts'
import type { Pass, Passed } from './pass.ts'

/** Milliseconds. Tests take shorter ones. */
export type LoopTiming = {
  /** Between an event and the look at it, so that a burst is one look. */
  readonly debounce: number
  /** Between two passes, however many events come. */
  readonly throttle: number
  /** Between two looks without any event. */
  readonly poll: number
  /** The same while something is waited for. */
  readonly wait: number
  /** Between two passes once another writer undoes everything. */
  readonly slow: number
}

export const LOOP_TIMING: LoopTiming = {
  debounce: 200,
  throttle: 1000,
  poll: 30_000,
  wait: 5_000,
  slow: 30_000,
}

/** How the node is: what the readiness probe answers. */
export type NodeState = { readonly isReady: boolean; readonly detail: string }

/** What the loop works with. */
export type LoopParts = {
  readonly pass: Pass
  readonly log: Log
  readonly timing: LoopTiming
  readonly onState: (state: NodeState) => void
  readonly onPass: (outcome: Passed | Error) => void
  /** Called before each look. */
  readonly beforeLook: () => Promise<void>
}

/** A loop that runs. */
export type Loop = {
  /** Something may have changed. */
  readonly nudge: () => void
  /** Resolves when no pass is under way any more. */
  readonly close: () => Promise<void>
}

/** Times that our entry was undone before a warning, and before the pace slows down. */
const FIGHTS_WORTH_A_WORD = 5
const FIGHTS_LOST = 20
/** Milliseconds of peace after which earlier fights are forgotten. */
const PEACE_MS = 25_000

/** Starts the loop after a first pass with this outcome. */
export function startLoop(parts: LoopParts, first: Passed): Loop {
  const { pass, log, timing } = parts
  let timer: NodeJS.Timeout | undefined
  let due = Infinity
  let lastPass = performance.now()
  let isClosed = false
  let underWay: Promise<void> = Promise.resolve()
  let wasReady = false
  let active = ''
  let fights = 0
  let lastFight = -Infinity
  let lastComplaint = ''

  const schedule = (delay: number): void => {
    const at = performance.now() + delay
    if (isClosed || at >= due) return
    clearTimeout(timer)
    due = at
    timer = setTimeout(() => {
      due = Infinity
      underWay = underWay.then(look)
    }, delay)
  }

  const look = async (): Promise<void> => {
    await parts.beforeLook()
    const gap = isLost() ? timing.slow : timing.throttle
    const rest = lastPass + gap - performance.now()
    if (rest > 0) {
      await glance()
      schedule(rest)
      return
    }
    const outcome = await pass.run().catch((error: unknown) => {
      return error instanceof Error ? error : new Error(reasonOf(error))
    })
    lastPass = performance.now()
    parts.onPass(outcome)
    if (!(outcome instanceof Error)) count(outcome)
    settle(judge(outcome))
  }

  const settle = (state: NodeState): void => {
    parts.onState(state)
    complain(state)
    wasReady = state.isReady
    schedule(state.isReady ? timing.poll : isLost() ? timing.slow : timing.wait)
  }

  /** Between two passes nothing is written, but readiness goes as soon as it is not true any more. */
  const glance = async (): Promise<void> => {
    const found = await pass.plan().catch(() => undefined)
    if (found === undefined || (found.changes.length === 0 && found.waitsFor === undefined)) return
    parts.onState({ isReady: false, detail: found.waitsFor ?? 'changes of others to be undone' })
  }

  const count = (outcome: Passed): void => {
    const { changes } = outcome
    const now = performance.now()
    if (outcome.kind === 'ready') active = outcome.active
    if (changes === 0) {
      if (now - lastFight > PEACE_MS) fights = 0
      return
    }
    if (!wasReady && !isLost()) return
    fights += 1
    lastFight = now
    if (fights !== FIGHTS_WORTH_A_WORD && fights !== FIGHTS_LOST) return
    log('warn', 'another writer keeps undoing our entry', {
      file: active,
      times: fights,
      ...(active.includes('cilium') ? { hint: 'set cni.exclusive=false in Cilium' } : {}),
    })
  }

  const isLost = (): boolean => fights >= FIGHTS_LOST

  const judge = (outcome: Passed | Error): NodeState => {
    if (outcome instanceof Error) return { isReady: false, detail: outcome.message }
    if (outcome.kind === 'waiting') return { isReady: false, detail: `waits for ${outcome.for}` }
    if (isLost() && outcome.changes > 0) {
      return { isReady: false, detail: `${outcome.active}: another writer keeps undoing our entry` }
    }
    return { isReady: true, detail: `${outcome.active} has our entry, the executable answers` }
  }

  /** Once a minute at most for the same thing. */
  const complain = ({ isReady, detail }: NodeState): void => {
    const minute = Math.floor(performance.now() / 60_000)
    const complaint = isReady ? '' : `${minute} ${detail}`
    if (complaint !== '' && complaint !== lastComplaint)
      log('warn', 'not ready', { reason: detail })
    if (isReady && !wasReady) log('info', 'ready', { because: detail })
    lastComplaint = complaint
  }

  if (first.kind === 'ready') active = first.active
  settle(judge(first))
  return {
    nudge: () => {
      schedule(timing.debounce)
    },
    close: async () => {
      isClosed = true
      clearTimeout(timer)
      await underWay
    },
  }
}
