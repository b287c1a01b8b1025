import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { Script } from 'node:vm'

/**
 * Runs a CommonJS file, and from `code` what V8 made of its text in an earlier run: compiling takes longer than
 * injecting a document. V8 looks itself whether the code is its own and of a text of this length; if not, it
 * compiles.
 * Kept code cannot import, so the file calls `importOutside` (scripts/keep-code.mjs).
 */
export function runKept(file: string, code: Buffer | undefined): Script {
  const text = readFileSync(file, 'utf8')
  // Behind the line that names the interpreter.
  const body = text.slice(text.indexOf('\n'))
  const script = new Script(
    `(function (require, module, exports, __dirname, importOutside) {${body}\n})`,
    {
      filename: file,
      ...(code === undefined ? {} : { cachedData: code }),
    },
  )
  const main: unknown = script.runInThisContext()
  if (typeof main !== 'function') throw new Error(`${file}: want a CommonJS program`)
  const module = { exports: {} }
  const given = [createRequire(file), module, module.exports, dirname(file), importOutside]
  Reflect.apply(main, undefined, given)
  return script
}

/** What stands beside the file: this one stands there too. */
function importOutside(name: string): Promise<unknown> {
  return import(name)
}
