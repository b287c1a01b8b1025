/** A preview for people: one paragraph for all workloads with the same change, then a line that sums up. */
import type { Json } from '../core/json.ts'
import {
  makeGrouping,
  type Counts,
  type FieldGroup,
  type Group,
  type Values,
} from '../core/preview/groups.ts'
import { visible } from '../core/problem.ts'
import { writeStdout } from '../kube-inject/output.ts'
import { nameOf, type Reporter } from './reporter.ts'

/** Prints the groups at the end. Text of manifests and configurations is made visible: it may be hostile. */
export function makeHuman(): Reporter {
  const grouping = makeGrouping()
  return {
    take: (compared) => {
      grouping.add(nameOf(compared), compared.effect)
    },
    finish: async (unsent) => {
      const paragraphs = grouping.groups().map((group) => `${linesOf(group).join('\n')}\n\n`)
      const summary = `${summaryOf(grouping.counts(), unsent)}\n`
      await writeStdout([...paragraphs, summary].map((text) => Buffer.from(text, 'utf8')))
    },
  }
}

/** One line: how many workloads there are, and what becomes of how many. */
export function summaryOf(counts: Counts, unsent: number): string {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const told = KINDS.filter((kind) => counts[kind] > 0).map((kind) => said(counts[kind], kind))
  const parts = told.length === 0 ? ['nothing changes'] : told
  const rest = unsent === 0 ? '' : `; ${unsent} not sent to the injector`
  return `${total} ${total === 1 ? 'workload' : 'workloads'}: ${parts.join(', ')}${rest}`
}

const KINDS = [
  'refused',
  'loses',
  'gains',
  'changes',
  'accepted',
  'still-refused',
  'same',
] as const satisfies readonly (keyof Counts)[]

/** What becomes of one, and of several. */
const WORDS = {
  refused: ['would be refused', 'would be refused'],
  loses: ['loses injection', 'lose injection'],
  gains: ['gains injection', 'gain injection'],
  changes: ['changes', 'change'],
  accepted: ['is no longer refused', 'are no longer refused'],
  'still-refused': ['is refused as before', 'are refused as before'],
  same: ['stays as it is', 'stay as they are'],
} as const

function said(count: number, kind: keyof Counts): string {
  return `${count} ${WORDS[kind][count === 1 ? 0 : 1]}`
}

function linesOf({ kind, reasons, fields, names }: Group): readonly string[] {
  const workloads = names.length === 1 ? 'workload' : 'workloads'
  return [
    `${said(names.length, kind).replace(' ', ` ${workloads} `)}:`,
    ...reasons.map((reason) => `  ${visible(reason)}`),
    ...fields.flatMap((field) => fieldLines(field)),
    ...listed(names),
  ]
}

function fieldLines({ kind, path, values, others }: FieldGroup): readonly string[] {
  const [first] = values
  const isOne = values.length === 1 && others === 0 && first !== undefined
  if (isOne) return [`  ${MARKS[kind]} ${visible(path)}: ${valuesText(first)}`]
  return [
    `  ${MARKS[kind]} ${visible(path)}:`,
    ...values.map((value) => `      ${valuesText(value)} (${value.count})`),
    ...(others === 0 ? [] : [`      and others (${others})`]),
  ]
}

const MARKS = { added: '+', removed: '-', changed: '~', moved: '~' } as const

function valuesText({ before, after }: Values): string {
  if (before === undefined) return shown(after)
  if (after === undefined) return shown(before)
  const [was, is] = apart(before, after)
  return `${was} → ${is}`
}

/** Of lists only what differs is shown, with what stands beside it. */
function apart(before: Json, after: Json): readonly [string, string] {
  if (!Array.isArray(before) || !Array.isArray(after)) return [shown(before), shown(after)]
  const [old, now]: readonly (readonly string[])[] = [before, after].map((list) => list.map(shown))
  if (old === undefined || now === undefined) return ['', '']
  const least = Math.min(old.length, now.length)
  let start = 0
  while (start < least && old[start] === now[start]) start++
  let end = 0
  while (end < least - start && old.at(-1 - end) === now.at(-1 - end)) end++
  const cut = (texts: readonly string[]): string => {
    const from = Math.max(start - 1, 0)
    const shownPart = texts.slice(from, texts.length - Math.max(end - 1, 0))
    const ends = [from > 0 ? ['…'] : [], end > 1 ? ['…'] : []] as const
    return `[${[...ends[0], ...shownPart, ...ends[1]].join(', ')}]`
  }
  return [cut(old), cut(now)]
}

const LONGEST_VALUE = 160

function shown(value: Json | undefined): string {
  const text = value === undefined ? '' : visible(JSON.stringify(value))
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text
}

const LINE = 100

/** Names in lines that a terminal takes. */
function listed(names: readonly string[]): readonly string[] {
  const lines: string[] = []
  for (const [index, name] of names.entries()) {
    const text = `${visible(name)}${index === names.length - 1 ? '' : ','}`
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + text.length <= LINE) {
      lines[lines.length - 1] = `${last} ${text}`
    } else lines.push(`    ${text}`)
  }
  return lines
}
