import { readAddress, readCidr } from '../cidrs.ts'
import type { Owner } from '../ids.ts'
import { readPortRanges, type PortRange } from '../ports.ts'
import type { Match, Rule, Verdict } from './model.ts'

/** Splits a rule into words as iptables-restore does: blanks part them, quotes keep them together. */
export function splitWords(line: string): string[] {
  const parts = line.match(/(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'])+/g) ?? []
  return parts.map((part) =>
    part.replace(/"((?:[^"\\]|\\.)*)"|'([^']*)'/g, (_, double?: string, single?: string) => {
      return double === undefined ? (single ?? '') : double.replace(/\\(.)/g, '$1')
    }),
  )
}

/**
 * Reads the words of one rule, as written or as the kernel prints it. What is not ours is kept as it
 * stands, in conditions and verdicts of kind `other`; no rule is refused.
 */
export function readRule(words: readonly string[]): Rule {
  const reader = new WordReader(words)
  const match: Match[] = []
  let then: Verdict = { do: 'other', words: [] }
  for (let word = reader.next(); word !== undefined; word = reader.next()) {
    if (word === '-j' || word === '-g') {
      then = readVerdict(word, reader.rest())
      break
    }
    const found = readMatch(reader, word)
    if (found !== undefined) match.push(found)
  }
  return { match, then }
}

/** A place in a list of words. A class, because it guards a position that several readers move. */
class WordReader {
  readonly #words: readonly string[]
  #at = 0
  /** The module that `-m` named last; it decides what `--mark` means. */
  module = ''

  constructor(words: readonly string[]) {
    this.#words = words
  }

  next(): string | undefined {
    return this.#words[this.#at++]
  }

  rest(): readonly string[] {
    const rest = this.#words.slice(this.#at)
    this.#at = this.#words.length
    return rest
  }

  /** The words up to the next condition that is known, the current one included. */
  unknown(first: readonly string[]): Match {
    const words = [...first]
    for (let word = this.#words[this.#at]; word !== undefined; word = this.#words[this.#at]) {
      if (/^(-[psdiomjg]|!)$/.test(word)) break
      words.push(word)
      this.#at++
    }
    return { on: 'other', words }
  }
}

const OUR_MODULES = new Set(['tcp', 'udp', 'owner', 'mark', 'connmark', 'conntrack', 'multiport'])

function readMatch(reader: WordReader, word: string): Match | undefined {
  if (word === '-m') {
    const module = reader.next() ?? ''
    reader.module = module
    return OUR_MODULES.has(module) ? undefined : reader.unknown(['-m', module])
  }
  const isNot = word === '!'
  const option = isNot ? (reader.next() ?? '') : word
  const not = isNot ? ({ not: true } as const) : {}
  const asIs = (value: string): Match => ({
    on: 'other',
    words: [...(isNot ? ['!'] : []), option, value],
  })
  switch (option) {
    case '-p': {
      const value = reader.next() ?? ''
      const name = value === '6' ? 'tcp' : value === '17' ? 'udp' : value
      return (name === 'tcp' || name === 'udp') && !isNot
        ? { on: 'protocol', is: name }
        : asIs(value)
    }
    case '-i':
    case '-o':
      return {
        on: 'interface',
        way: option === '-i' ? 'in' : 'out',
        name: reader.next() ?? '',
        ...not,
      }
    case '-s':
    case '-d': {
      const value = reader.next() ?? ''
      const cidr = readRange(value)
      const end = option === '-s' ? 'source' : 'destination'
      return cidr === undefined ? asIs(value) : { on: 'address', end, cidr, ...not }
    }
    case '--dport':
    case '--dports':
    case '--sport':
    case '--sports': {
      const value = reader.next() ?? ''
      const ports = readPorts(value)
      const end = option.startsWith('--s') ? 'source' : 'destination'
      return ports === undefined ? asIs(value) : { on: 'port', end, ports, ...not }
    }
    case '--uid-owner':
    case '--gid-owner':
      return {
        on: 'owner',
        who: option === '--uid-owner' ? 'uid' : 'gid',
        id: readOwner(reader.next() ?? ''),
        ...not,
      }
    case '--mark': {
      const value = reader.next() ?? ''
      const mark = readMark(value)
      const of = reader.module === 'connmark' ? 'connection' : 'packet'
      return mark === undefined ? asIs(value) : { on: 'mark', of, value: mark, ...not }
    }
    case '--ctstate': {
      const value = reader.next() ?? ''
      return isNot ? asIs(value) : { on: 'conntrack', states: value.split(',') }
    }
    default:
      return reader.unknown(isNot ? ['!', option] : [option])
  }
}

function readVerdict(option: string, words: readonly string[]): Verdict {
  const [target = '', ...rest] = words
  const other: Verdict = { do: 'other', words: [option, ...words] }
  if (option === '-g') return other
  const value = (name: string): string | undefined => {
    const at = rest.findIndex((word) => word === name)
    return at < 0 ? undefined : rest[at + 1]
  }
  const only = (...names: readonly string[]): boolean =>
    rest.every((word, index) => (index % 2 === 0 ? names.includes(word) : true))
  switch (target) {
    case 'RETURN':
      return { do: 'return' }
    case 'ACCEPT':
      return { do: 'accept' }
    case 'DROP':
      return { do: 'drop' }
    case 'REDIRECT': {
      const port = value('--to-ports') ?? value('--to-port')
      const isPlain = only('--to-ports', '--to-port') && port !== undefined && /^\d+$/.test(port)
      return isPlain ? { do: 'redirect', port: Number(port) } : other
    }
    case 'TPROXY': {
      const mark = readMark(value('--tproxy-mark') ?? '')
      const port = value('--on-port')
      const isPlain =
        only('--tproxy-mark', '--on-port', '--on-ip') &&
        /^(0\.0\.0\.0|::)?$/.test(value('--on-ip') ?? '')
      return isPlain && port !== undefined && mark !== undefined
        ? { do: 'tproxy', port: Number(port), mark }
        : other
    }
    case 'MARK': {
      const mark = readMark(value('--set-xmark') ?? value('--set-mark') ?? '')
      return mark !== undefined && only('--set-xmark', '--set-mark')
        ? { do: 'mark', value: mark }
        : other
    }
    case 'CONNMARK': {
      const masks = rest.filter((word) => word.startsWith('0x'))
      if (!masks.every((mask) => mask === '0xffffffff')) return other
      if (rest[0] === '--save-mark') return { do: 'save-mark' }
      return rest[0] === '--restore-mark' ? { do: 'restore-mark' } : other
    }
    case 'CT': {
      const zone = value('--zone')
      return zone !== undefined && only('--zone') ? { do: 'zone', zone: Number(zone) } : other
    }
    case 'DNAT':
    case 'SNAT': {
      const to = value(target === 'DNAT' ? '--to-destination' : '--to-source')
      if (to === undefined || rest.length !== 2) return other
      return target === 'DNAT' ? { do: 'dnat', to } : { do: 'snat', to }
    }
    default:
      return rest.length === 0 && target !== '' && !EXTENSIONS.has(target)
        ? { do: 'jump', to: target }
        : other
  }
}

/** Targets that come without options and are no chains. */
const EXTENSIONS = new Set([
  ...['MASQUERADE', 'REJECT', 'QUEUE', 'NOTRACK', 'CT'],
  ...['LOG', 'NFLOG', 'ULOG', 'TRACE'],
])

function readRange(text: string): string | undefined {
  if (readCidr('rule', text).ok) return text
  const address = readAddress('rule', text)
  return address.ok ? `${text}/${address.value.family === 'v4' ? 32 : 128}` : undefined
}

function readPorts(text: string): readonly PortRange[] | undefined {
  const ports = readPortRanges('rule', text)
  return ports.ok && !ports.value.hadZero ? ports.value.ranges : undefined
}

function readOwner(text: string): Owner {
  return /^\d+$/.test(text) ? Number(text) : text
}

/** A mark of all 32 bits. A narrower mask makes another condition, which is not ours. */
function readMark(text: string): number | undefined {
  const parts = /^(0x[0-9a-f]+|\d+)(?:\/0xffffffff)?$/i.exec(text)
  return parts === null ? undefined : Number(parts[1])
}
