import { isLast, makeAnalysis, type Analysis } from '../core/analysis/analyze.ts'
import { SEVERITIES, type Severity } from '../core/analysis/codes.ts'
import { makeInventory } from '../core/analysis/inventory.ts'
import type { Setting, Subject } from '../core/analysis/model.ts'
import type { InjectConfig } from '../core/inject/config.ts'
import { injectPod } from '../core/inject/inject.ts'
import { isNativeByDefault, readNativeMode } from '../core/inject/native.ts'
import { compareBytes } from '../core/json.ts'
import { visible } from '../core/problem.ts'
import { isNative, readConfig } from '../kube-inject/config.ts'
import { writeStdout } from '../kube-inject/output.ts'
import { WORKLOADS } from '../kube-inject/workloads.ts'
import type { Flags } from './command.ts'
import { openManifests } from './files.ts'
import { reported, type Place, type Report, type Reported } from './reported.ts'

/** The whole command; tells whether anything was found that `--severity` asks about. */
export async function check(flags: Flags): Promise<boolean> {
  const warn = (line: string): void => {
    process.stderr.write(`${visible(line)}\n`)
  }
  const config = await configOf(flags)
  config.warnings.forEach(warn)
  const report =
    flags.live === true
      ? await checkCluster(flags, config, warn)
      : await checkFiles(flags, flags.filename ?? [], config)
  const text = await printReport(report, flags)
  await writeStdout([Buffer.from(text, 'utf8')])
  const isCounted = (severity: Severity): boolean => {
    return SEVERITIES.indexOf(severity) <= SEVERITIES.indexOf(flags.severity)
  }
  return report.findings.some(({ severity }) => isCounted(severity))
}

/** With `--live` a kubeconfig says where the objects are; the configuration is asked for by its own flags. */
async function configOf(flags: Flags): Promise<InjectConfig> {
  if (flags.live !== true) return readConfig(flags, process.env)
  const asks = [flags.configFromCluster, flags.meshConfigMapName, flags.injectConfigMapName]
  const {
    kubeconfig: _,
    context: __,
    meshConfigMapName: _m,
    injectConfigMapName: _i,
    ...rest
  } = flags
  if (asks.every((flag) => flag === undefined)) return readConfig(rest, process.env)
  const { readClusterSources } = await import('../kube-inject/cluster.ts')
  return readConfig(rest, process.env, await readClusterSources(flags))
}

async function checkFiles(
  flags: Flags,
  names: readonly string[],
  config: InjectConfig,
): Promise<Report> {
  const { add, inventory } = makeInventory()
  const manifests = await openManifests(names, subjectSetting(flags), ({ subject }) => {
    add(subject)
  })
  const setting = settingOf(flags, config, isNative(process.env), false)
  const collected = makeCollection(makeAnalysis(inventory, setting))
  for (const { subject, placeOf } of manifests.read()) collected.take(subject, placeOf)
  return collected.finish()
}

async function checkCluster(
  flags: Flags,
  config: InjectConfig,
  warn: (line: string) => void,
): Promise<Report> {
  const { openCluster } = await import('./live.ts')
  const cluster = await openCluster(flags, subjectSetting(flags).workloads, warn)
  try {
    const { add, inventory } = makeInventory()
    const context: Subject[] = []
    for await (const subject of cluster.context()) {
      add(subject)
      context.push(subject)
    }
    const mode = readNativeMode(process.env['ENABLE_NATIVE_SIDECARS'])
    const isNative = isNativeByDefault(mode, await cluster.nodes(), undefined)
    const analysis = makeAnalysis(inventory, settingOf(flags, config, isNative, true))
    const collected = makeCollection(analysis)
    for (const subject of context) collected.take(subject)
    for await (const subject of cluster.workloads()) collected.take(subject)
    return collected.finish()
  } finally {
    cluster.close()
  }
}

function subjectSetting({ podTemplatePath, namespace = 'default' }: Flags) {
  return { workloads: [...podTemplatePath, ...WORKLOADS], namespace }
}

function settingOf(
  { namespaceLabels }: Flags,
  config: InjectConfig,
  nativeSidecars: boolean,
  isLive: boolean,
): Setting {
  const inject: Setting['inject'] = (request) => injectPod(request, config)
  return { config, inject, nativeSidecars, namespaceLabels, isLive }
}

/** Gathers what is found, in the order of the objects and then of their text. */
function makeCollection({ find, findLast }: Analysis) {
  const found: (Reported & { readonly object: number })[] = []
  const waiting: { readonly subject: Subject; readonly tell: Tell }[] = []
  let objects = 0
  type Tell = (findings: ReturnType<typeof find>) => void
  return {
    take(subject: Subject, placeOf?: (path: string) => Place): void {
      const object = objects++
      const tell: Tell = (findings) => {
        const told = findings.map((each) => reported(subject, each, placeOf?.(each.path)))
        found.push(...told.map((each) => ({ ...each, object })))
      }
      tell(find(subject))
      if (isLast(subject)) waiting.push({ subject, tell })
    },
    finish(): Report {
      for (const { subject, tell } of waiting) tell(findLast(subject))
      const sorted = found.toSorted(
        (a, b) =>
          a.object - b.object ||
          (a.place?.line ?? 0) - (b.place?.line ?? 0) ||
          (a.place?.column ?? 0) - (b.place?.column ?? 0) ||
          compareBytes(a.code, b.code) ||
          compareBytes(a.path, b.path),
      )
      return { findings: sorted.map(({ object: _, ...each }) => each), objects }
    },
  }
}

async function printReport(report: Report, { output }: Flags): Promise<string> {
  switch (output) {
    case 'human': {
      const { printHuman } = await import('./human.ts')
      const isColoured = process.stdout.isTTY && process.env['NO_COLOR'] === undefined
      return printHuman(report, isColoured)
    }
    case 'json':
      return (await import('./json.ts')).printJson(report)
    case 'sarif':
      return (await import('./sarif.ts')).printSarif(report)
  }
}
