import { injectPod } from '../core/inject/inject.ts'
import { Refusal, visible, type Problem } from '../core/problem.ts'
import { parseDocuments } from '../core/yaml.ts'
import { injectDocument, type Setting } from './inject-document.ts'
import type { Flags } from './command.ts'
import { isNative, readConfig } from './config.ts'
import { writeStdout, writeWhole } from './output.ts'
import { readSources, type Source } from './sources.ts'

/** The whole command: reads the configuration and the manifests, injects, writes at the very end. */
export async function kubeInject(flags: Flags): Promise<void> {
  const warn = (line: string): void => {
    // Names come from manifests; what they hold must not steer a terminal.
    process.stderr.write(`${visible(line)}\n`)
  }
  const config = await readConfig(flags, process.env)
  config.warnings.forEach(warn)
  const setting: Setting = {
    inject: (request) => injectPod(request, config),
    nativeSidecars: isNative(process.env),
    ...(flags.namespace === undefined ? {} : { namespace: flags.namespace }),
  }
  const results = injectSources(readSources(flags.filename), setting, warn)
  if (flags.check === true) refuseChanges(results)
  else if (flags.inPlace === true) {
    for (const { name, text, changed } of results) if (changed.length > 0) writeWhole(name, [text])
  } else if (flags.output === undefined) await writeStdout(joined(results))
  else writeWhole(flags.output, joined(results))
}

/** What became of one source. */
export type Result = {
  readonly name: string
  readonly text: string
  /** Which of its documents differ from what they were: file, line and number. */
  readonly changed: readonly string[]
}

/**
 * Injects every document of every source. All problems of all documents are thrown together as one
 * Refusal, after `warn` has heard the warnings; results come back only where there is none.
 */
export function injectSources(
  sources: Iterable<Source>,
  setting: Setting,
  warn: (line: string) => void,
): readonly Result[] {
  const results: Result[] = []
  const problems: Problem[] = []
  for (const { name, text } of sources) {
    let number = 0
    const texts: string[] = []
    const changed: string[] = []
    for (const document of parseDocuments(name, text)) {
      if (!document.ok) {
        problems.push(...document.problems)
        continue
      }
      if (document.value.root !== undefined) number++
      const where = `${name}:${document.value.line}: document ${number}`
      const outcome = injectDocument(document.value, where, setting)
      outcome.warnings.forEach(warn)
      problems.push(...outcome.problems)
      if (outcome.text !== document.value.text) changed.push(where)
      texts.push(outcome.text)
    }
    results.push({ name, text: texts.join(''), changed })
  }
  if (problems.length > 0) throw new Refusal(problems)
  return results
}

/** Throws a Refusal that names every document that injection would change. */
function refuseChanges(results: readonly Result[]): void {
  const documents = results.flatMap(({ changed }) => changed)
  if (documents.length === 0) return
  const got = 'no sidecar, or another one'
  const want = 'the one that kube-inject writes with these flags'
  throw new Refusal(documents.map((path) => ({ path, got, want })))
}

/** The texts as one stream. */
function joined(results: readonly Result[]): readonly string[] {
  return results.flatMap(({ text }, index) => [separator(results[index - 1]?.text, text), text])
}

/** What has to stand between two files so that their documents stay apart. */
function separator(before: string | undefined, next: string): string {
  if (before === undefined || before === '' || next === '') return ''
  const marker = /^\uFEFF?---(?:[ \t\r\n]|$)/.test(next) ? '' : '---\n'
  return (before.endsWith('\n') ? '' : '\n') + marker
}
