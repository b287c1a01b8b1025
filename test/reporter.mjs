// The reporter of `npm test`: what failed and where, what was left out and why, a line per file,
// and as the last line `N passed, N failed, N skipped` (single checks, not files).
import { Transform } from 'node:stream'
import { Parser } from 'tap-parser'

export default class Reporter extends Transform {
  #parser = new Parser()
  #count = { passed: 0, failed: 0, skipped: 0 }

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
        this.#count[result.ok ? 'passed' : 'failed'] += 1
        if (!result.ok) this.push(`failed: ${where}\n${shown(result.diag)}`)
      } else {
        // The line of a subtest repeats its checks; it counts when none of them failed but it did.
        if (!result.ok && this.#count.failed === summed.failed) {
          this.#count.failed += 1
          this.push(`failed: ${where}\n${shown(result.diag)}`)
        }
        if (trail.length === 0) {
          this.push(
            `${result.ok ? 'ok' : 'NOT OK'} ${result.name} (${Math.round(result.time ?? 0)} ms)\n`,
          )
        }
      }
    })
    parser.on('bailout', (reason) => {
      this.#count.failed += 1
      this.push(`failed: ${[...trail, 'bail out'].join(' > ')}: ${reason}\n`)
    })
  }
}

function shown(diag) {
  if (!diag || Object.keys(diag).length === 0) return ''
  const { diff, message, at, stack, source, ...rest } = diag
  const place = at ? `${at.fileName}:${at.lineNumber}` : ''
  const parts = [
    place,
    message,
    diff,
    source,
    stack,
    Object.keys(rest).length > 0 ? JSON.stringify(rest) : '',
  ]
  return parts
    .filter(Boolean)
    .map((part) => `    ${String(part).trimEnd().replaceAll('\n', '\n    ')}\n`)
    .join('')
}
