/** JSON text, written quickly where the same parts are written again and again. */
import { isArray, isObject } from './json.ts'

/** Texts of values that never change, by the value; empty until the first time that one is printed. */
const KEPT = new WeakMap<object, string>()

/** Says that a value never changes and will be printed often: from now on its text is kept beside it. */
export function keepText(value: unknown): void {
  if (typeof value === 'object' && value !== null && !KEPT.has(value)) KEPT.set(value, '')
}

/** Adds to `pieces` what `JSON.stringify` gives for a JSON value. */
export function writeJson(value: unknown, pieces: string[]): void {
  if (typeof value === 'string') pieces.push(quote(value))
  else if (typeof value !== 'object' || value === null) pieces.push(JSON.stringify(value))
  else {
    const kept = KEPT.get(value)
    if (kept === undefined) writeInside(value, pieces)
    else if (kept !== '') pieces.push(kept)
    else {
      const text = JSON.stringify(value)
      KEPT.set(value, text)
      pieces.push(text)
    }
  }
}

function writeInside(value: object, pieces: string[]): void {
  if (isArray(value)) {
    pieces.push('[')
    for (let index = 0; index < value.length; index++) {
      if (index > 0) pieces.push(',')
      writeJson(value[index] ?? null, pieces)
    }
    pieces.push(']')
  } else if (isObject(value)) {
    let before = '{'
    for (const name in value) {
      const member = value[name]
      if (member === undefined) continue
      pieces.push(before, quote(name), ':')
      before = ','
      writeJson(member, pieces)
    }
    pieces.push(before === '{' ? '{}' : '}')
  }
}

/** Text without any of these needs no escape. */
// eslint-disable-next-line no-control-regex -- JSON escapes control characters
const ESCAPED = /["\\\u0000-\u001f\ud800-\udfff]/

function quote(text: string): string {
  return ESCAPED.test(text) ? JSON.stringify(text) : `"${text}"`
}
