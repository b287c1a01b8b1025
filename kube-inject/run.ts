import { Refusal, visible, type Problem } from '../core/problem.ts'
import { makeCheck } from './check.ts'
import type { Flags } from './command.ts'
import { readConfigs } from './config.ts'
import type { Setting } from './inject-document.ts'
import { folderOrFile } from './output.ts'
import { makeProgress, type Progress } from './progress.ts'
import type { Recorder } from './recorder.ts'
import { makeReport } from './report.ts'
import { injectSource } from './results.ts'
import { settingOf } from './setting.ts'
import { openSources, type Source } from './sources.ts'
import { makeSpool, type Spool } from './spool.ts'
import { makeWriter } from './write-manifests.ts'

/** The whole command: reads the configuration and the manifests, injects, writes at the very end. */
export async function kubeInject(flags: Flags): Promise<void> {
  const warn = (line: string): void => {
    // Names come from manifests; what they hold must not steer a terminal.
    process.stderr.write(`${visible(line)}\n`)
  }
  const configs = await readConfigs(flags, process.env)
  configs.today.warnings.forEach(warn)
  const setting = settingOf(configs, process.env, {
    workloads: flags.podTemplatePath,
    isWayBack: flags.uninject === true,
    namespace: flags.namespace,
  })
  const spools: Spool[] = []
  const newSpool = (): Spool => {
    const spool = makeSpool()
    spools.push(spool)
    return spool
  }
  try {
    const recorders = await recordersOf(flags, newSpool)
    const progress = makeProgress(process.stderr)
    injectSources(await openSources(flags.filename), setting, recorders, warn, progress)
    for (const recorder of recorders) await recorder.finish()
  } finally {
    for (const spool of spools) spool.close()
  }
}

/**
 * Injects every document of every source and shows each to the recorders. All problems of all
 * documents are thrown together as one Refusal, after `warn` has heard the warnings.
 */
export function injectSources(
  sources: Iterable<Source>,
  setting: Setting,
  recorders: readonly Recorder[],
  warn: (line: string) => void,
  progress?: Progress,
): void {
  const problems: Problem[] = []
  try {
    for (const source of sources) {
      for (const document of injectSource(source, setting)) {
        if (document.warnings.length > 0) progress?.clear()
        document.warnings.forEach(warn)
        problems.push(...document.problems)
        if (problems.length === 0) for (const recorder of recorders) recorder.take(source, document)
        progress?.count(source.name)
      }
    }
  } finally {
    progress?.clear()
  }
  if (problems.length > 0) throw new Refusal(problems)
}

/** Who the flags ask for: manifests are written unless something else is asked for instead. */
async function recordersOf(flags: Flags, newSpool: () => Spool): Promise<readonly Recorder[]> {
  const recorders: Recorder[] = []
  if (flags.diff === true) {
    const { makeDiff } = await import('./show-diff.ts')
    recorders.push(makeDiff(newSpool(), process.stdout.isTTY))
  }
  if (flags.report === 'json') recorders.push(makeReport(newSpool()))
  const asksInstead = recorders.length > 0 || flags.check === true
  if (flags.inPlace === true) recorders.push(makeWriter({ to: 'sources' }, undefined, newSpool()))
  else if (flags.output !== undefined) {
    recorders.push(makeWriter(folderOrFile(flags.output), flags.outputFormat, newSpool()))
  } else if (!asksInstead)
    recorders.push(makeWriter({ to: 'stdout' }, flags.outputFormat, newSpool()))
  // Last, so that what the others say is there when it refuses.
  if (flags.check === true) recorders.push(makeCheck())
  return recorders
}
