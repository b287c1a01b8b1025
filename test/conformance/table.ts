import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { need } from '../require.ts'

/** Where the recorded cases are. */
export const folder = resolve(
  import.meta.dirname,
  '../..',
  process.env['SIDECAR_CONFORMANCE_DIR'] ?? '../shared/conformance',
)

/** The options of a test that reads recorded data: skipped, saying so, where there is none. */
export function needData(): { skip?: string } {
  const missing = `no recorded cases in ${folder}, want SIDECAR_CONFORMANCE_DIR to name them`
  return need(existsSync(folder) ? undefined : missing)
}

/** The rows of one table of recorded facts, e.g. `owner-heuristic`. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the caller knows its columns
export function readTable<Row>(name: string): readonly Row[] {
  const text = readFileSync(resolve(folder, 'tables', `${name}.jsonl`), 'utf8')
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Row)
}
