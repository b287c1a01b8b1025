// The reporter of `npm test`: what failed and where, what was left out and why, a line per file, the names of all
// that failed once more, and as the last line `N passed, N failed, N skipped` (single checks, not files).
import { Transform } from 'node:stream'
import { Parser } from 'tap-parser'

/** Lines of a diff that are shown: a list that should be empty can be as long as the test made it. */
const DIFF_LINES = 60

export default class Reporter extends Transform {
  #parser = new Parser()
  #count = { passed: 0, failed: 0, skipped: 0 }
  #failures = []

  constructor() {
    super({ encoding: 'utf8' })
    this.#follow(this.#parser, [])
  }

  _transform(chunk, _encoding, done) {
    this.#parser.write(chunk)
    done()
  }

  _flush(done) {
    this.#parser.end()
    const { passed, failed, skipped } = this.#count
    if (failed > 0) this.push(`What failed:\n${this.#failures.map((one) => `- ${one}\n`).join('')}`)
    this.push(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
    done()
  }

  /** Counts the checks of one test and, below it, of its subtests. */
  #follow(parser, trail) {
    let child
    parser.on('child', (next) => {
      child = { failed: this.#count.failed }
      this.#follow(next, [...trail, next.name])
    })
    parser.on('comment', (text) => {
      // Notes of the tests, such as figures of a law; tap's own totals are told below.
      if (trail.length > 0 && !/^# (Subtest|time=|\{)/.test(text)) this.push(text)
    })
    parser.on('assert', (result) => {
      const summed = child
      child = undefined
      const where = [...trail, result.name].join(' > ')
      if (result.skip) {
        this.#count.skipped += 1
        this.push(`skipped: ${where}: ${result.skip === true ? 'no reason given' : result.skip}\n`)
      } else if (summed === undefined) {
        if (result.ok) this.#count.passed += 1
        else this.#fail(where, shown(result.diag))
      } else {
        // The line of a subtest repeats its checks; it counts when none of them failed but it did.
        if (!result.ok && this.#count.failed === summed.failed) {
          this.#fail(where, shown(result.diag))
        }
        if (trail.length === 0) {
          this.push(
            `${result.ok ? 'ok' : 'NOT OK'} ${result.name} (${Math.round(result.time ?? 0)} ms)\n`,
          )
        }
      }
    })
    parser.on('bailout', (reason) => {
      this.#fail(`${[...trail, 'bail out'].join(' > ')}: ${reason}`, '')
    })
  }

  #fail(where, what) {
    this.#count.failed += 1
    this.#failures.push(where)
    this.push(`failed: ${where}\n${what}`)
  }
}

function firstLines(text) {
  const lines = text.split('\n')
  const left = lines.length - DIFF_LINES
  return left > 0 ? [...lines.slice(0, DIFF_LINES), `... ${left} more lines`].join('\n') : text
}

function shown(diag) {
  if (!diag || Object.keys(diag).length === 0) return ''
  const { diff, message, at, stack, source, ...rest } = diag
  const place = at ? `${at.fileName}:${at.lineNumber}` : ''
  const parts = [
    place,
    message,
    diff && firstLines(diff),
    source,
    stack,
    Object.keys(rest).length > 0 ? JSON.stringify(rest) : '',
  ]
  return parts
    .filter(Boolean)
    .map((part) => `    ${String(part).trimEnd().replaceAll('\n', '\n    ')}\n`)
    .join('')
}
