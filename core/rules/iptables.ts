import type { Family } from '../cidrs.ts'
import { printPortRange, type PortRange } from '../ports.ts'
import type { Match, Plan, Rule, Step, TableName, Verdict } from './model.ts'
import { isBuiltIn } from './names.ts'

/** One family's share of a plan: the steps that iptables writes for it, in order. */
export function stepsFor(plan: Plan, family: Family): Step[] {
  if (!plan.families.includes(family)) return []
  return plan.steps.filter((step) => step.only !== 'nft' && step.families.includes(family))
}

/** Text for `iptables-restore --noflush`, tables in byte order; chains are made, or emptied if they exist. */
export function printRestore(steps: readonly Step[]): string {
  return tablesOf(steps)
    .map((table) => {
      const own = steps.filter((step) => step.table === table)
      const lines = [...declared(own).map((chain) => `:${chain} - [0:0]`), ...own.map(printStep)]
      return `*${table}\n${lines.join('\n')}\nCOMMIT\n`
    })
    .join('')
}

/** The same as one command a line, all chains first: what `--restore-format=false` prints. */
export function printCommands(steps: readonly Step[], command: string): string {
  const chains = tablesOf(steps).flatMap((table) => {
    return declared(steps.filter((step) => step.table === table)).map(
      (chain) => `-t ${table} -N ${chain}`,
    )
  })
  const rules = tablesOf(steps).flatMap((table) =>
    steps.filter((step) => step.table === table).map((step) => `-t ${table} ${printStep(step)}`),
  )
  return [...chains, ...rules].map((line) => `${command} ${line}\n`).join('')
}

/** One line of restore text: `-A CHAIN rule`, or `-I CHAIN place rule`. */
export function printStep(step: Step): string {
  const place = step.at === undefined ? `-A ${step.chain}` : `-I ${step.chain} ${step.at}`
  return `${place} ${printRule(step.rule)}`.trimEnd()
}

/** The words of a rule after its chain. */
export function printRule(rule: Rule): string {
  const protocol = rule.match.some((match) => match.on === 'protocol' && match.is === 'udp')
    ? 'udp'
    : 'tcp'
  return [...rule.match.map(printMatch), printVerdict(rule.then, protocol)]
    .filter((part) => part !== '')
    .join(' ')
}

/** The chains of one table that a restore has to make: those with rules first, then mere jump targets. */
export function declared(steps: readonly Step[]): string[] {
  const named = steps.map((step) => step.chain)
  const targets = steps.flatMap(({ rule }) => (rule.then.do === 'jump' ? [rule.then.to] : []))
  return [...new Set([...named, ...targets])].filter((chain) => !isBuiltIn(chain))
}

function tablesOf(steps: readonly Step[]): TableName[] {
  return (['mangle', 'nat', 'raw'] as const).filter((table) =>
    steps.some((step) => step.table === table),
  )
}

function printMatch(match: Match): string {
  const not = 'not' in match ? '! ' : ''
  switch (match.on) {
    case 'protocol':
      return `-p ${match.is}`
    case 'family':
      // A family has its own command; the condition holds by itself.
      return ''
    case 'interface':
      return `${not}-${match.way === 'in' ? 'i' : 'o'} ${match.name}`
    case 'address':
      return `${not}-${match.end === 'source' ? 's' : 'd'} ${match.cidr}`
    case 'port':
      return printPorts(match.end === 'source' ? 'sport' : 'dport', match.ports, not)
    case 'owner':
      return `-m owner ${not}--${match.who}-owner ${match.id}`
    case 'mark':
      return `-m ${match.of === 'packet' ? 'mark' : 'connmark'} ${not}--mark ${match.value}`
    case 'conntrack':
      return `-m conntrack --ctstate ${match.states.join(',')}`
    case 'other':
      return match.words.map(quotedWord).join(' ')
  }
}

function printPorts(option: 'sport' | 'dport', ports: readonly PortRange[], not: string): string {
  const text = ports.map((port) => printPortRange(port, ':')).join(',')
  return ports.length === 1
    ? `${not}--${option} ${text}`
    : `-m multiport ${not}--${option}s ${text}`
}

/** Istio spells the option of a UDP redirect without its last letter; both mean the same. */
function printVerdict(then: Verdict, protocol: 'tcp' | 'udp'): string {
  switch (then.do) {
    case 'return':
    case 'accept':
    case 'drop':
      return `-j ${then.do.toUpperCase()}`
    case 'jump':
      return `-j ${then.to}`
    case 'redirect':
      return `-j REDIRECT --to-port${protocol === 'udp' ? '' : 's'} ${then.port}`
    case 'tproxy':
      return `-j TPROXY --tproxy-mark ${then.mark}/0xffffffff --on-port ${then.port}`
    case 'mark':
      return `-j MARK --set-mark ${then.value}`
    case 'save-mark':
    case 'restore-mark':
      return `-j CONNMARK --${then.do}`
    case 'zone':
      return `-j CT --zone ${then.zone}`
    case 'dnat':
      return `-j DNAT --to-destination ${then.to}`
    case 'snat':
      return `-j SNAT --to-source ${then.to}`
    case 'other':
      return then.words.map(quotedWord).join(' ')
  }
}

/** A word of a foreign rule, in quotes where it needs them. */
function quotedWord(word: string): string {
  return /^[^\s"'\\]+$/.test(word) ? word : `"${word.replace(/["\\]/g, '\\$&')}"`
}
