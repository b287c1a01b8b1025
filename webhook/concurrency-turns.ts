/** Milliseconds of work in one turn of the event loop, after which others come first: probes, new requests. */
const BUDGET_MS = 20

/**
 * Runs jobs in the order in which they come: at once while the turn has time left, else in a later
 * turn. However many there are, a probe waits for one turn only. A job must not throw.
 */
export function makeTurns(budgetMs = BUDGET_MS): (job: () => void) => void {
  const waiting: (() => void)[] = []
  let spent = 0
  let isArmed = false

  const run = (job: () => void): void => {
    const start = performance.now()
    job()
    spent += performance.now() - start
  }
  const arm = (): void => {
    if (!isArmed) setImmediate(turn)
    isArmed = true
  }
  const turn = (): void => {
    isArmed = false
    spent = 0
    let done = 0
    for (const job of waiting) {
      if (spent >= budgetMs) break
      done += 1
      run(job)
    }
    waiting.splice(0, done)
    // Once more after the last job: the turn after it has its time again.
    if (done > 0) arm()
  }
  return (job) => {
    arm()
    if (waiting.length === 0 && spent < budgetMs) run(job)
    else waiting.push(job)
  }
}
