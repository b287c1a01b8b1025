/** `explain -f`: reads manifests and configuration, explains every pod, prints. */
import type { GateEntry } from '../core/gates/entry.ts'
import { readWebhooks } from '../core/gates/read-webhooks.ts'
import { bad, Refusal, type Problem } from '../core/problem.ts'
import { parseDocuments } from '../core/yaml.ts'
import { isNative, readConfig } from '../kube-inject/config.ts'
import { readText } from '../kube-inject/sources.ts'
import type { Flags } from './command.ts'
import { fieldInPod, hasField, originsAt } from './fields.ts'
import { jsonReport } from './json.ts'
import { paintFor, printField, printReport } from './print.ts'
import { makeReport, type Report } from './report.ts'
import { readSubjects, type Subject } from './subjects.ts'

/** One pod and what is to be said about it. */
type Told = { readonly subject: Subject; readonly report: Report }

/** Explains the pods of the files that the flags name. Throws a Refusal. */
export async function explainFiles(
  flags: Flags,
  environment: Readonly<Record<string, string | undefined>>,
  isTerminal: boolean,
): Promise<string> {
  const config = await readConfig(flags, environment)
  const { pods, namespaceLabels } = await readSubjects(
    flags.filename,
    flags.podTemplatePath,
    flags.namespace,
  )
  const entries = flags.webhookConfig === undefined ? undefined : readEntries(flags.webhookConfig)
  const nativeSidecars = isNative(environment)
  const told = pods.map((subject): Told => {
    const namespace = subject.request.owner.namespace ?? flags.namespace
    const labels = flags.namespaceLabels ?? namespaceLabels.get(namespace) ?? {}
    // What is asked is what becomes of the pod in a cluster: the webhook decides there.
    const request = { ...subject.request, door: 'webhook', namespace, nativeSidecars } as const
    const scene = { entries, namespace, namespaceLabels: labels }
    return { subject, report: makeReport(request, config, scene) }
  })
  if (flags.field !== undefined) return fieldOf(told, flags.field, flags, isTerminal)
  if (flags.output === 'json') return printJson(told)
  const paint = paintFor(isTerminal)
  return told.map(({ subject, report }) => printReport(titleOf(subject), report, paint)).join('\n')
}

function fieldOf(
  told: readonly Told[],
  field: string,
  { output }: Flags,
  isTerminal: boolean,
): string {
  const found = told.flatMap(({ subject, report }) => {
    const path = fieldInPod(field, subject.kind)
    const origins = originsAt(report.origins, path)
    if (origins.length === 0 && !hasField(report.decision, path)) return []
    return [{ subject, path, report: { ...report, origins } }]
  })
  if (found.length === 0) {
    const want = 'a JSON Pointer of a field of the injected pod, such as /spec/containers/0'
    const none = bad('--field', field, want)
    throw new Refusal(none.ok ? [] : none.problems)
  }
  if (output === 'json') return printJson(found)
  const paint = paintFor(isTerminal)
  return found
    .map(({ subject, path, report }) => printField(titleOf(subject), path, report.origins, paint))
    .join('')
}

function printJson(told: readonly Told[]): string {
  const entries = told.map(({ subject, report }) => jsonReport(subject, report))
  return `${JSON.stringify(entries, null, 2)}\n`
}

function titleOf({ kind, name }: Subject): string {
  return `${kind} ${name}`
}

/** The entries of all MutatingWebhookConfigurations in a file. */
function readEntries(file: string): readonly GateEntry[] {
  const problems: Problem[] = []
  const values: unknown[] = []
  for (const document of parseDocuments(file, readText(file, file))) {
    if (!document.ok) problems.push(...document.problems)
    else if (document.value.value !== null) values.push(document.value.value)
  }
  const read = readWebhooks(values, file)
  if (!read.ok) problems.push(...read.problems)
  if (problems.length > 0 || !read.ok) throw new Refusal(problems)
  return read.value
}
