/** The bin: the program beside it, from the code that the build kept of it (scripts/keep-code.mjs). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runKept } from './kept-code.ts'

runKept(join(import.meta.dirname, 'program.cjs'), read(join(import.meta.dirname, 'program.code')))

/** Nothing where nobody kept any: then the program starts more slowly. */
function read(file: string): Buffer | undefined {
  try {
    return readFileSync(file)
  } catch {
    return undefined
  }
}
