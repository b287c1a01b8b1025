/** One thing that must be there before requests may come, or a word about one that is stale. */
export type Check = {
  readonly name: string
  readonly isReady: boolean
  /** For people: what is there, or what is missing. */
  readonly detail: string
}

/** All checks, and whether requests may come. */
export type Readiness = { readonly isReady: boolean; readonly checks: readonly Check[] }

/** Ready when every check is. */
export function combine(checks: readonly Check[]): Readiness {
  return { isReady: checks.every((check) => check.isReady), checks }
}

/** The status and text of a readiness answer, a line a check, as kubectl and people read it. */
export function printReadiness(readiness: Readiness): { status: 200 | 503; text: string } {
  const lines = readiness.checks.map((check) => {
    return `${check.isReady ? 'ok' : 'not ready'}: ${check.name}: ${check.detail}\n`
  })
  return { status: readiness.isReady ? 200 : 503, text: lines.join('') }
}
