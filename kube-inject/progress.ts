import { visible } from '../core/problem.ts'

/** Where progress is shown: standard error. */
export type Screen = {
  /** Whether a person looks at it. */
  readonly isTTY: boolean
  readonly write: (text: string) => unknown
}

/** One line on a terminal that tells how far long work has come. */
export type Progress = {
  /** One document more is done, of this file. */
  readonly count: (file: string) => void
  /** Takes the line away, before something else is printed and at the end. */
  readonly clear: () => void
}

/** Work that takes less is over before anybody wonders. */
const FIRST_MS = 1000
const NEXT_MS = 200

/** Shows nothing unless it is a terminal, nothing in the first second, then a few lines a second at most. */
export function makeProgress(screen: Screen, now: () => number = Date.now): Progress {
  let due = now() + FIRST_MS
  let documents = 0
  let isShown = false
  const clear = (): void => {
    // Back to the first column, and the line erased.
    if (isShown) screen.write('\r\u001b[K')
    isShown = false
  }
  return {
    clear,
    count: (file) => {
      documents++
      if (!screen.isTTY || now() < due) return
      due = now() + NEXT_MS
      clear()
      screen.write(`${documents} documents, ${shortened(visible(file))}`)
      isShown = true
    },
  }
}

/** The line must fit, or it could not be erased. */
const LONGEST = 50

function shortened(name: string): string {
  return name.length <= LONGEST ? name : `…${name.slice(1 - LONGEST)}`
}
