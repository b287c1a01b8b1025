import { good, type Problem, type Read } from '../problem.ts'
import type { Flag } from './flags.ts'

/** What a command line said: flags in the order given, and the words that belong to none. */
export type Words = {
  readonly given: readonly { readonly flag: Flag; readonly text: string }[]
  readonly rest: readonly string[]
}

/**
 * Takes a command line apart as Istio's own tool does (Go's pflag): `--name=v`, `--name v`, `-n v`, `-nv`,
 * `-n=v`, switches bundled as `-ab`; a switch takes a value only after `=`; a value may begin with a dash;
 * `--` ends the flags.
 */
export function readWords(flags: readonly Flag[], argv: readonly string[]): Read<Words> {
  const given: { flag: Flag; text: string }[] = []
  const rest: string[] = []
  const problems: Problem[] = []
  const words = [...argv]
  const add = (flag: Flag, text: string | undefined, shown: string): void => {
    if (text === undefined) problems.push({ path: shown, got: '', want: 'a value after it' })
    else given.push({ flag, text })
  }
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === '--') {
      rest.push(...words)
      break
    }
    if (word.startsWith('--')) readLong(word)
    else if (word.startsWith('-') && word !== '-') readShort(word)
    else rest.push(word)
  }
  return problems.length === 0 ? good({ given, rest }) : { ok: false, problems }

  function readLong(word: string): void {
    const equals = word.indexOf('=')
    const name = equals < 0 ? word.slice(2) : word.slice(2, equals)
    const flag = flags.find((one) => one.name === name)
    if (flag === undefined) {
      problems.push({
        path: 'command line',
        got: `--${name}`,
        want: 'a flag of --help: unknown flag',
      })
    } else if (equals >= 0) add(flag, word.slice(equals + 1), `--${name}`)
    else add(flag, flag.kind === 'switch' ? 'true' : words.shift(), `--${name}`)
  }

  function readShort(word: string): void {
    for (let bundle = word.slice(1); bundle !== '';) {
      const flag = flags.find((one) => one.short === bundle.slice(0, 1))
      const after = bundle.slice(1)
      if (flag === undefined) {
        const got = `-${bundle.slice(0, 1)}`
        problems.push({ path: word, got, want: 'a flag of --help: unknown shorthand flag' })
        return
      }
      if (after.startsWith('=')) {
        add(flag, after.slice(1), `-${flag.short ?? ''}`)
        return
      }
      if (flag.kind !== 'switch') {
        add(flag, after === '' ? words.shift() : after, `-${flag.short ?? ''}`)
        return
      }
      add(flag, 'true', word)
      bundle = after
    }
  }
}

/** Reads the text of a switch as Go does: 1 t true, 0 f false, in three spellings. Empty is off. */
export function readSwitch(path: string, text: string): Read<boolean> {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return good(true)
  if (/^(0|f|F|FALSE|false|False|)$/.test(text)) return good(false)
  return { ok: false, problems: [{ path, got: text, want: 'true or false' }] }
}

const BASES = { x: 16, o: 8, b: 2 } as const

/** Reads a number as Go reads a flag of 16 bits: decimal, or with 0x, 0o, 0b in front. 0 is no port. */
export function readPortNumber(path: string, text: string): Read<number> {
  const prefixed = /^0([xob])([0-9a-f]+)$/.exec(text.toLowerCase())
  const base = Object.entries(BASES).find(([letter]) => letter === prefixed?.[1])?.[1] ?? 10
  const digits = prefixed?.[2] ?? text
  const isNumber = digits.split('').every((digit) => Number.parseInt(digit, 16) < base)
  const value = /^[0-9a-f]+$/.test(digits) && isNumber ? Number.parseInt(digits, base) : NaN
  return value >= 1 && value <= 65535
    ? good(value)
    : {
        ok: false,
        problems: [{ path, got: text, want: 'a port from 1 to 65535: value out of range' }],
      }
}

const MILLISECONDS = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1e3,
  m: 6e4,
  h: 36e5,
} as const

/** Reads a duration as Go writes it, such as `1m30.5s`; the unit is required. Milliseconds. */
export function readDuration(path: string, text: string): Read<number> {
  const parts = [...text.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)]
  if (text === '0') return good(0)
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) {
    return {
      ok: false,
      problems: [{ path, got: text, want: 'a duration with unit, such as 5s or 1m30s' }],
    }
  }
  return good(
    parts.reduce((sum, [, number, unit]) => {
      const factor = Object.entries(MILLISECONDS).find(([name]) => name === unit)?.[1] ?? 0
      return sum + Number(number) * factor
    }, 0),
  )
}
