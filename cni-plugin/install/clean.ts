/** Takes us off a node. */
import { setTimeout as sleep } from 'node:timers/promises'
import { applyChange } from './apply.ts'
import type { Binary } from './binary.ts'
import { printChange, type Change } from './change.ts'
import { readNetDir } from './conf-files.ts'
import { planRemoval } from './conf-plan.ts'
import { removeFile, signOf } from './files.ts'
import { reasonOf, type Log } from './log.ts'
import type { Place } from './place.ts'
import { kubeconfigPath } from './kubeconfig.ts'
import type { Settings } from './settings.ts'

/** What a removal works with. */
export type CleanParts = {
  readonly settings: Settings
  readonly place: Place
  readonly binary: Binary
  readonly log: Log
  /** Milliseconds that plugins which run already may still need their credentials. */
  readonly grace?: number
}

const GRACE_MS = 5_000
/** Attempts while somebody else writes the same files. */
const ATTEMPTS = 20

/**
 * The entry first, then what it needs; the executable stays unless it is to be purged, because runtimes
 * call it once more when pods end that started with it. Every step is tried; answers what went wrong.
 */
export async function cleanNode(parts: CleanParts): Promise<readonly string[]> {
  const { settings, place, binary, log, grace = GRACE_MS } = parts
  const failures: string[] = []
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    await work().catch((error: unknown) => {
      failures.push(reasonOf(error))
    })
  }
  if (settings.installsConfig) {
    await attempt(() => leaveAll(parts))
  }
  const kubeconfig = kubeconfigPath(settings)
  if ((await signOf(kubeconfig).catch(() => undefined)) !== undefined) {
    await sleep(grace)
    await attempt(() => removeFile(kubeconfig))
    log('info', `remove ${kubeconfig}: nobody needs it any more`)
  }
  if (settings.purges) {
    await attempt(() => binary.remove())
    log('info', `remove ${binary.target}: purge`)
  }
  for (const failure of failures) log('error', 'clean-up', { reason: failure })
  if (failures.length === 0) log('info', 'clean-up done', { netDir: place.netDir })
  return failures
}

/** What a clean-up would change in the configuration. */
export async function planLeaving({ settings, place }: CleanParts): Promise<readonly Change[]> {
  const { pluginName: type, ownedFileName } = settings
  return planRemoval(await readNetDir(place.netDir), { type, ownedFileName })
}

async function leaveAll(parts: CleanParts): Promise<void> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const changes = await planLeaving(parts)
    if (changes.length === 0) return
    for (const change of changes) {
      if (!(await applyChange(change, parts.binary))) break
      parts.log('info', printChange(change))
    }
  }
  throw new Error(`${parts.place.netDir}: somebody else keeps writing the same files`)
}
