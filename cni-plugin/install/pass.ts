/** One idempotent pass: looks at the node, and makes what is missing of the wanted state. */
import { readFile } from 'node:fs/promises'
import { applyChange } from './apply.ts'
import type { Binary } from './binary.ts'
import { printChange, type Change } from './change.ts'
import { mentions, readNetDir } from './conf-files.ts'
import { planConf, type ConfMode, type ConfPlan } from './conf-plan.ts'
import type { Entry } from './insert.ts'
import { hasCode } from './files.ts'
import type { Kubeconfigs } from './kubeconfig.ts'
import { reasonOf, type Log } from './log.ts'
import type { Place } from './place.ts'
import type { Settings } from './settings.ts'

/** The steps of a pass, in their order: the entry makes us active, so that all it needs comes before it. */
export type Step = 'binary' | 'kubeconfig' | 'config'

/** What a pass came to. `changes` counts the changed files of the configuration. */
export type Passed =
  | { readonly kind: 'ready'; readonly active: string; readonly changes: number }
  | { readonly kind: 'waiting'; readonly for: string; readonly changes: number }

/** A step that the file system or the cluster did not let us make. */
export class StepFailed extends Error {
  readonly step: Step

  constructor(step: Step, cause: unknown) {
    super(reasonOf(cause) + hintFor(step, cause), { cause })
    this.name = 'StepFailed'
    this.step = step
  }
}

/** What a pass works with. */
export type PassParts = {
  readonly settings: Settings
  readonly place: Place
  readonly binary: Binary
  readonly kubeconfigs: Kubeconfigs
  /** Our entry, and whether it needs credentials: worked out from what the node says of itself. */
  readonly wanted: () => Promise<{ readonly entry: Entry; readonly kubeconfig: string | undefined }>
  readonly log: Log
}

/** Passes over the node. */
export type Pass = {
  /** Everything that would be changed now, and what is waited for. */
  readonly plan: () => Promise<{ readonly changes: readonly Change[]; readonly waitsFor?: string }>
  readonly run: () => Promise<Passed>
}

/** Milliseconds after which a file that cannot be read no longer counts as half written. */
const PATIENCE_MS = 5_000
/** Attempts of one pass while somebody else writes the same files. */
const ATTEMPTS = 5

/** Makes the passes of one process; they remember since when a file is broken. */
export function makePass(parts: PassParts): Pass {
  const { settings, place, binary, log } = parts
  const brokenSince = new Map<string, number>()
  let lastWarnings = ''

  const planFiles = async (entry: Entry): Promise<ConfPlan> => {
    const dir = await readNetDir(place.netDir)
    const now = performance.now()
    for (const name of brokenSince.keys()) {
      if (!dir.broken.some((file) => file.name === name)) brokenSince.delete(name)
    }
    for (const { name } of dir.broken) if (!brokenSince.has(name)) brokenSince.set(name, now)
    const isPatient = [...brokenSince.values()].some((since) => now - since < PATIENCE_MS)
    const { confName, ownedFileName, confMode: fileMode } = settings
    const mode = modeOf(settings, place)
    const wish = { folder: place.netDir, entry, mode, confName, ownedFileName, fileMode, isPatient }
    const plan = planConf(dir, wish)
    if (settings.installsConfig) return plan
    const active = dir.files.find((file) => mentions(file, entry.type))?.name
    const waitsFor = `an entry of type ${entry.type} in ${place.netDir}, which we are not to write`
    return {
      changes: [],
      warnings: plan.warnings,
      ...(active === undefined ? { waitsFor } : { active }),
    }
  }

  const planBinary = async (): Promise<readonly Change[]> => {
    if (!settings.installsBinary) return []
    const why = await binary.outdated()
    return why === undefined ? [] : [{ do: 'copy', path: binary.target, why }]
  }

  const planKubeconfig = async (path: string | undefined): Promise<readonly Change[]> => {
    if (path === undefined) return []
    const text = await parts.kubeconfigs.text()
    const found = await readFile(path, 'utf8').catch(() => undefined)
    if (found === text) return []
    const why = found === undefined ? 'it is missing' : 'its token or server is an older one'
    const mode = settings.kubeconfigMode
    return [{ do: 'write', path, text, mode, unless: [], why, isSecret: true }]
  }

  const applyAll = async (changes: readonly Change[]): Promise<number> => {
    let count = 0
    for (const change of changes) {
      if (!(await applyChange(change, binary))) {
        log('info', 'somebody else writes the same file', { path: change.path })
        break
      }
      count += 1
      log('info', printChange(change))
    }
    return count
  }

  const warn = (warnings: readonly string[]): void => {
    const text = warnings.join('; ')
    if (text !== lastWarnings && text !== '') log('warn', text)
    lastWarnings = text
  }

  return {
    plan: async () => {
      const { entry, kubeconfig } = await parts.wanted()
      const files = await planFiles(entry)
      const { waitsFor } = files
      const credentials = await planKubeconfig(kubeconfig).catch(() => [])
      const changes = [...(await planBinary()), ...credentials, ...files.changes]
      return waitsFor === undefined ? { changes } : { changes, waitsFor }
    },
    run: async () => {
      const { entry, kubeconfig } = await parts.wanted()
      await inStep('binary', async () => applyAll(await planBinary()))
      await inStep('kubeconfig', async () => applyAll(await planKubeconfig(kubeconfig)))
      let changes = 0
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const files = await inStep('config', () => planFiles(entry))
        warn(files.warnings)
        changes += await inStep('config', () => applyAll(files.changes))
        if (files.waitsFor !== undefined) return { kind: 'waiting', for: files.waitsFor, changes }
        // Only a look that finds nothing to change proves what the runtime will read.
        if (files.changes.length > 0) continue
        const silent = await binary.silent()
        if (silent === undefined) return { kind: 'ready', active: files.active ?? '', changes }
        return { kind: 'waiting', for: `${binary.target} to answer VERSION: ${silent}`, changes }
      }
      return { kind: 'waiting', for: 'the other writer of the same file to rest', changes }
    },
  }
}

/** How we get into the node's configuration. */
export function modeOf(settings: Settings, place: Place): ConfMode {
  if (!place.isChained) return 'standalone'
  return settings.ownedName === undefined ? 'chained' : 'owned'
}

async function inStep<T>(step: Step, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof StepFailed ? error : new StepFailed(step, error)
  }
}

/** What usually lies behind an error of the file system. */
function hintFor(step: Step, cause: unknown): string {
  const isReadOnly = hasCode(cause, 'EROFS') || hasCode(cause, 'EACCES') || hasCode(cause, 'EPERM')
  if (step === 'binary' && isReadOnly) {
    return ' (is this the CNI bin directory of this platform? see CNI_PLATFORM)'
  }
  if (isReadOnly) return ' (is the directory mounted writable?)'
  if (hasCode(cause, 'ENOSPC')) return ' (the disk is full; what was there stays)'
  return ''
}
