import { good, type Problem, type Read } from '../problem.ts'
import type { Rule, RuleSet } from './model.ts'
import { readRule, splitWords } from './read-rule.ts'

type OpenChain = { readonly name: string; readonly policy?: string; readonly rules: Rule[] }

/**
 * Reads restore text and what `iptables-save` prints, with or without counters, into the rules as they
 * stand after loading: insertions are put in place. Problems name the line.
 */
export function readRestore(text: string): Read<RuleSet> {
  const tables = new Map<string, Map<string, OpenChain>>()
  const problems: Problem[] = []
  let table: Map<string, OpenChain> | undefined
  text.split('\n').forEach((raw, index) => {
    const line = raw.trim()
    const refuse = (want: string): void => {
      problems.push({ path: `line ${index + 1}`, got: line, want })
    }
    if (line === '' || line.startsWith('#')) return
    if (line.startsWith('*')) {
      const name = line.slice(1).trim()
      table = tables.get(name) ?? new Map()
      tables.set(name, table)
      return
    }
    if (line === 'COMMIT') {
      table = undefined
      return
    }
    if (table === undefined) {
      refuse('a table such as *nat before it')
      return
    }
    if (!readLine(table, line)) refuse('a line of restore text')
  })
  if (problems.length > 0) return { ok: false, problems }
  return good({
    tables: [...tables].map(([name, chains]) => ({ name, chains: [...chains.values()] })),
  })
}

function readLine(table: Map<string, OpenChain>, line: string): boolean {
  const declared = /^:(\S+)\s*(\S+)?/.exec(line) ?? /^-N (\S+)$/.exec(line)
  if (declared !== null) {
    const [, name = '', policy = '-'] = declared
    table.set(name, { name, rules: [], ...(policy !== '-' && { policy }) })
    return true
  }
  const counters = /^\[(\d+):(\d+)\] /.exec(line)
  const [verb, name, ...words] = splitWords(line.slice(counters?.[0].length ?? 0))
  if (name === undefined || (verb !== '-A' && verb !== '-I')) return false
  const chain = table.get(name) ?? { name, rules: [] }
  table.set(name, chain)
  const [place, ...after] = words
  const hasPlace = verb === '-I' && place !== undefined && /^\d+$/.test(place)
  const rule = withCounters(readRule(hasPlace ? after : words), counters)
  const at = verb === '-A' ? chain.rules.length : hasPlace ? Number(place) - 1 : 0
  chain.rules.splice(at, 0, rule)
  return true
}

function withCounters(rule: Rule, counters: RegExpExecArray | null): Rule {
  if (counters === null) return rule
  return { ...rule, counted: { packets: Number(counters[1]), bytes: Number(counters[2]) } }
}
