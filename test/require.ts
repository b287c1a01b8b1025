/**
 * What a test does when this machine lacks something it needs.
 *
 * `npm test` on a laptop skips such a test and prints why. With `REQUIRE=all` in the environment,
 * as `.ci/run` sets it, nothing may be left out: the missing thing fails the test file.
 *
 * ```ts
 * t.test('rules load in a fresh namespace', need(rootUnavailable()), async (t) => { … })
 * ```
 *
 * `reason` says what is missing and what would help, `undefined` when nothing is missing. The
 * answer is the options argument of tap's `t.test`.
 */
export function need(reason: string | undefined): { skip?: string } {
  if (reason === undefined) return {}
  if (process.env['REQUIRE'] === 'all') throw new Error(`REQUIRE=all: ${reason}`)
  return { skip: reason }
}
