/** A body apart: what stands between its holes, and the holes. */
import { isObject } from '../../core/json.ts'
import { endOfList, endOfText } from './ends.ts'
import { GRAMMARS, HASH_LABEL, mayNameToken, type Grammar, type Rule, type Rules } from './holes.ts'

/** A hole, as a body is read from front to back; `of` is the number of a hole before it. */
export type Hole =
  | { readonly kind: Grammar | 'free' }
  /** All of a list, with its brackets. */
  | { readonly kind: 'list' }
  /** A name that is no known namespace. */
  | { readonly kind: 'namespace' }
  /** The same text as in that hole. */
  | { readonly kind: 'same'; readonly of: number }
  /** A name, a dash and the text of that hole: a ReplicaSet by its Deployment. */
  | { readonly kind: 'hashed'; readonly of: number }

/** Texts of a body in their order: one literal more than there are holes. */
export type Parts = {
  readonly literals: readonly string[]
  readonly holes: readonly Hole[]
  /** Whether there is something in it that no stencil is cut for. */
  readonly isOut: boolean
}

/** Finds the holes of a body, which must be JSON. Whether a text is a hole is settled by what stands before it. */
export function scan(body: string, rules: Rules): Parts {
  const scanner = new Scanner(body, rules)
  scanner.value(rules.review)
  return scanner.end()
}

const SPACE = /[ \t\n\r]*/y
const SCALAR = /[-+.\w]+/y

class Scanner {
  readonly #body: string
  readonly #rules: Rules
  readonly #literals: string[] = []
  readonly #holes: Hole[] = []
  /** What stands in each hole. */
  readonly #texts: string[] = []
  #at = 0
  #literalStart = 0
  #namespace = -1
  #token = -1
  #hash = -1
  /** Whether the name of an owner is part of the shape. */
  #hasPlainOwner = false
  #isOut = false

  constructor(body: string, rules: Rules) {
    this.#body = body
    this.#rules = rules
  }

  end(): Parts {
    this.#literals.push(this.#body.slice(this.#literalStart))
    // What is part of the shape must be nothing that a hole may come to be, or may come to fit.
    const isAmbiguous =
      (this.#hasPlainOwner && this.#hash >= 0) || this.#literals.some(mayNameToken)
    return { literals: this.#literals, holes: this.#holes, isOut: this.#isOut || isAmbiguous }
  }

  value(rule: Rule, name?: unknown): void {
    this.#skip(SPACE)
    switch (this.#body[this.#at]) {
      case '{':
        this.#object(rule)
        break
      case '[':
        if (rule !== 'list' || !this.#wholeList()) this.#list(rule)
        break
      case '"':
        this.#at += 1
        this.#text(rule, name)
        break
      default:
        this.#skip(SCALAR)
    }
    this.#skip(SPACE)
  }

  #object(rule: Rule): void {
    const start = this.#at
    this.#members((name) => memberRule(rule, name))
    if (this.#isOut || typeof rule !== 'object' || !('never' in rule)) return
    const object: unknown = JSON.parse(this.#body.slice(start, this.#at))
    this.#isOut = isObject(object) && rule.never(object)
  }

  #members(ruleOf: (name: string) => Rule): void {
    const names = new Set<unknown>()
    do {
      this.#at += 1
      this.#skip(SPACE)
      if (this.#body[this.#at] === '}') break
      const start = this.#at
      this.#at = endOfText(this.#body, start + 1) + 1
      const name: unknown = JSON.parse(this.#body.slice(start, this.#at))
      // Then only one of the two is what the body says.
      this.#isOut ||= names.has(name)
      names.add(name)
      this.#skip(SPACE)
      this.#at += 1
      this.value(typeof name === 'string' ? ruleOf(name) : 'exact', name)
    } while (this.#body[this.#at] === ',')
    this.#at += 1
  }

  #list(rule: Rule): void {
    const of = itemRule(rule)
    do {
      this.#at += 1
      this.#skip(SPACE)
      if (this.#body[this.#at] === ']') break
      this.value(of)
    } while (this.#body[this.#at] === ',')
    this.#at += 1
  }

  /** Takes a list as one hole, where it can be one. */
  #wholeList(): boolean {
    const start = this.#at
    const end = endOfList(this.#body, start)
    if (end < 0) return false
    this.#at = end
    this.#addHole({ kind: 'list' }, start, end)
    return true
  }

  /** Behind the quote of a text. */
  #text(rule: Rule, name: unknown): void {
    const start = this.#at
    const end = endOfText(this.#body, start)
    const text = this.#body.slice(start, end)
    this.#at = end + 1
    const hole = this.#holeFor(rule, text)
    if (hole === undefined) return
    const number = this.#addHole(hole, start, end)
    if (hole.kind === 'namespace') this.#namespace = number
    if (hole.kind === 'access') this.#token = number
    if (name === HASH_LABEL && hole.kind === 'name') this.#hash = number
  }

  /** Gives its number. */
  #addHole(hole: Hole, start: number, end: number): number {
    this.#literals.push(this.#body.slice(this.#literalStart, start))
    this.#literalStart = end
    this.#texts.push(this.#body.slice(start, end))
    return this.#holes.push(hole) - 1
  }

  #holeFor(rule: Rule, text: string): Hole | undefined {
    if (typeof rule === 'object') return undefined
    switch (rule) {
      case 'exact':
      case 'list':
        return undefined
      case 'free':
        return { kind: 'free' }
      case 'namespace': {
        if (this.#namespace >= 0) {
          const same = this.#sameAs(this.#namespace, text)
          this.#isOut ||= same === undefined && isFreeNamespace(text, this.#rules)
          return same
        }
        return isFreeNamespace(text, this.#rules) ? { kind: 'namespace' } : undefined
      }
      case 'token':
        return this.#token < 0 ? fitting('access', text) : this.#sameAs(this.#token, text)
      case 'owner': {
        const hash = this.#texts[this.#hash]
        const isHashed = hash !== undefined && ownerIn(text, hash) !== undefined
        this.#hasPlainOwner ||= !isHashed
        return isHashed ? { kind: 'hashed', of: this.#hash } : undefined
      }
      default:
        return fitting(rule, text)
    }
  }

  #sameAs(of: number, text: string): Hole | undefined {
    return text === this.#texts[of] ? { kind: 'same', of } : undefined
  }

  #skip(what: RegExp): void {
    what.lastIndex = this.#at
    if (what.test(this.#body)) this.#at = what.lastIndex
  }
}

/** Whether a namespace is like any other. */
export function isFreeNamespace(text: string, rules: Rules): boolean {
  return GRAMMARS.name.fits(text) && !rules.isKnownNamespace(text)
}

/** The name before a dash and the hash; undefined where it is none. */
export function ownerIn(text: string, hash: string): string | undefined {
  const suffix = `-${hash}`
  if (!text.endsWith(suffix)) return undefined
  const name = text.slice(0, -suffix.length)
  return GRAMMARS.name.fits(name) ? name : undefined
}

function fitting(grammar: Grammar, text: string): Hole | undefined {
  return GRAMMARS[grammar].fits(text) ? { kind: grammar } : undefined
}

function itemRule(rule: Rule): Rule {
  if (rule === 'free') return rule
  return typeof rule === 'object' && 'each' in rule ? rule.each : 'exact'
}

function memberRule(rule: Rule, name: string): Rule {
  if (rule === 'free') return rule
  if (typeof rule !== 'object' || 'each' in rule) return 'exact'
  if ('fields' in rule) return rule.fields.get(name) ?? 'exact'
  return rule.isExact(name) ? 'exact' : rule.members
}
