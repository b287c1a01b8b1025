/** A report as people read it. Nothing of a manifest reaches the terminal unescaped. */
import { printEntry } from '../core/gates/entry.ts'
import type { GateResult } from '../core/gates/gate.ts'
import { isArray, isObject } from '../core/json.ts'
import { describeBecause, describeValue, type Origin } from '../core/origins/origin.ts'
import { formatProblem, quoted, visible } from '../core/problem.ts'
import { groupsOf, type Group } from './fields.ts'
import type { GateReport, PolicyRow, Report } from './report.ts'

/** Puts colours round a text, or leaves it as it is. */
export type Paint = (text: string, colour: keyof typeof COLOURS) => string

const COLOURS = { good: 32, bad: 31, open: 33, title: 1, faint: 2 } as const

/** Colours for a terminal, none for anything else. */
export function paintFor(isTerminal: boolean): Paint {
  if (!isTerminal) return (text) => text
  return (text, colour) => `\u001b[${COLOURS[colour]}m${text}\u001b[0m`
}

/** The whole chain: the answer, both gates, then each part of the pod with its origins. */
export function printReport(name: string, report: Report, paint: Paint): string {
  const { answer, gate, policy, decision, origins, notes } = report
  const colour = answer.startsWith('injected') ? 'good' : answer.startsWith('only') ? 'open' : 'bad'
  return lines([
    `${paint(visible(name), 'title')}: ${paint(visible(answer), colour)}`,
    ...[...notes, ...decision.warnings].map((note) => `  note: ${visible(note)}`),
    '',
    ...gateLines(gate, paint),
    '',
    paint("gate 2, the injector's policy:", 'title'),
    ...policyLines(policy, paint),
    ...(decision.kind === 'reject'
      ? [
          '',
          ...decision.problems.map((one) => `  ${paint('refused', 'bad')} ${formatProblem(one)}`),
        ]
      : []),
    ...groupsOf(origins, decision).flatMap((group) => groupLines(group, paint)),
  ])
}

/** One field and what is in it, with the blocks of the template around it. */
export function printField(
  name: string,
  path: string,
  origins: readonly Origin[],
  paint: Paint,
): string {
  if (origins.length === 0) {
    const own = "the pod's own, injection leaves it as it came"
    return lines([`${paint(visible(name), 'title')}: ${visible(path)}: ${own}`])
  }
  return lines(
    origins.flatMap((origin) => [
      `${paint(visible(name), 'title')}: ${visible(origin.path)}: ${describeValue(origin)}`,
      `  ${origin.change} by ${origin.text}`,
      ...(origin.template?.because ?? []).map((one) => `  under ${describeBecause(one)}`),
    ]),
  )
}

function gateLines(gate: GateReport | undefined, paint: Paint): readonly string[] {
  const title = paint('gate 1, which webhook the API server asks:', 'title')
  if (gate === undefined) {
    return [title, '  not known: no webhook configuration was given (--webhook-config)']
  }
  const { verdict, entries } = gate
  return [
    title,
    `  ${visible(verdict.sentence)} (${verdict.reason})`,
    ...verdict.besides.map((one) => `  ${visible(one)}`),
    ...entries.flatMap((entry) => entryLines(entry, paint)),
  ]
}

function entryLines({ entry, matches, steps }: GateResult, paint: Paint): readonly string[] {
  const says = { yes: 'takes it', no: 'does not take it', unknown: 'may take it' }[matches]
  const word = paint(says, matches === 'yes' ? 'good' : matches === 'no' ? 'faint' : 'open')
  return [
    `  ${visible(printEntry(entry))} ${word}`,
    ...steps.map(({ holds, sentence }) => `    ${holds.padEnd(7)} ${visible(sentence)}`),
  ]
}

function policyLines(policy: readonly PolicyRow[], paint: Paint): readonly string[] {
  return policy.map(({ reason, sentence, answer, evidence }) => {
    const spoken = evidence && `: ${visible(evidence.path)} is ${quoted(evidence.got)}`
    const line = `  ${answer.padEnd(9)} ${reason.padEnd(18)} ${sentence}${spoken ?? ''}`
    return answer === 'spoke' ? line : paint(line, 'faint')
  })
}

function groupLines({ title, rows }: Group, paint: Paint): readonly string[] {
  const shown = rows.filter(({ field, origin }) => field === '' || isLeaf(origin))
  return [
    '',
    paint(title, 'title'),
    ...shown.map(({ field, origin }) => {
      const value = isLeaf(origin) ? ` ${cut(describeValue(origin))}` : ''
      const at = field === '' ? origin.change : visible(field)
      return `  ${at}${value}  ${paint(origin.text, 'faint')}`
    }),
  ]
}

/** Maps and lists are there because something is in them. */
function isLeaf(origin: Origin): boolean {
  if (origin.change === 'removed' || origin.change === 'moved') return true
  return !isArray(origin.value) && !isObject(origin.value)
}

const WIDEST = 100

function cut(text: string): string {
  return text.length <= WIDEST ? text : `${text.slice(0, WIDEST - 1)}…`
}

function lines(all: readonly string[]): string {
  return all.map((line) => `${line}\n`).join('')
}
