/** A program from code that was kept of it, from code that is none, and from none at all. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { runKept } from '../../cli/kept-code.ts'

const folder = mkdtempSync(join(tmpdir(), 'kept-code-'))
t.teardown(() => {
  rmSync(folder, { recursive: true })
})
const program = join(folder, 'program.cjs')
const said: unknown[] = []
Object.assign(globalThis, { say: (word: unknown) => said.push(word) })

/** Runs a program of these lines; gives what it said and whether V8 refused the code. */
function run(lines: string, code?: Buffer) {
  writeFileSync(program, `#!/usr/bin/env node\n${lines}`)
  said.length = 0
  const script = runKept(program, code)
  return { said: [...said], isRefused: script.cachedDataRejected, code: script.createCachedData() }
}

const LINES = `say(require('node:path').basename(__dirname) !== ''); say(module.exports === exports)`

t.test('runs from kept code, from other code and from none', async (t) => {
  const first = run(LINES)
  t.strictSame(first.said, [true, true])
  const again = run(LINES, first.code)
  t.strictSame([again.said, again.isRefused], [[true, true], false])
  for (const code of [Buffer.from('none'), Buffer.alloc(0), run('say(1)').code]) {
    // Another text each time: what was compiled a moment ago V8 does not compile again.
    const other = run(`${LINES}; say(${code.length})`, code)
    t.strictSame([other.said, other.isRefused], [[true, true, code.length], true])
  }
})

t.test('imports what is outside, from kept code too', async (t) => {
  const lines = `importOutside('node:os').then((found) => say(typeof found.tmpdir))`
  const { code } = run(lines)
  run(lines, code)
  while (said.length === 0) await new Promise((resolve) => setImmediate(resolve))
  t.ok(said.includes('function'))
})
