/** Writes the bundle into our MutatingWebhookConfigurations: that field, and only where it differs. */
import { setTimeout as sleep } from 'node:timers/promises'
import { JSON_PATCH, type Api } from '../../cluster/api.ts'
import { REGISTRATIONS } from '../../cluster/registrations.ts'
import { whyUnverified, type Bundle } from '../../cluster/verify.ts'
import { isArray, isObject } from '../../core/json.ts'
import { ask, isConflict } from '../asked.ts'
import type { PatchFailure } from '../metrics-table.ts'
import {
  labelSelectorOf,
  printPatch,
  readRegistration,
  type Entry,
  type Registration,
} from './registrations.ts'

/** Who hears what becomes of patches; `name` is that of the configuration. */
export type PatchReport = {
  readonly attempted: (name: string) => void
  readonly retried: (name: string) => void
  readonly failed: (name: string, reason: PatchFailure, why: string) => void
  readonly patched: (name: string, entries: readonly string[]) => void
  /** Cert-manager writes the bundle of this one. */
  readonly foreign: (name: string) => void
}

/** What a pass needs of the world. */
export type Patcher = {
  /** Refuses to write when this process does not lead. */
  readonly api: Pick<Api, 'call'>
  readonly revision: string
  readonly report: PatchReport
}

/** What one pass found. */
export type Pass = {
  /** How many entries had another bundle. */
  readonly written: number
  /** Whether every entry that is ours to write has the bundle now. */
  readonly isInSync: boolean
}

/** Name of the writer of the field, in `metadata.managedFields`. */
export const FIELD_MANAGER = 'sidecar-injector'

/** Tries at one configuration whose object changes under the patch, and milliseconds between them. */
const TRIES = 5
const PAUSE_MS = 100

/**
 * Gives all of our entries the bundle. Reads them anew, never from a watch, so that in sync means in
 * sync. `served` is the certificate of this process, with its chain, in PEM.
 */
export async function patchAll(patcher: Patcher, bundle: Bundle, served: string): Promise<Pass> {
  const query = { labelSelector: labelSelectorOf(patcher.revision) }
  const listed = await ask(patcher.api, { path: REGISTRATIONS, query })
  if (!listed.ok) {
    patcher.report.failed('', 'webhook_update_failure', listed.why)
    return { written: 0, isInSync: false }
  }
  const items = isObject(listed.body) ? listed.body['items'] : undefined
  const ours = isArray(items) ? items : []
  const passes: Pass[] = []
  for (const item of ours) {
    const registration = readRegistration(item, patcher.revision)
    if (registration !== undefined) {
      passes.push(await patchOne(patcher, registration, bundle, served))
    }
  }
  return {
    written: passes.reduce((sum, { written }) => sum + written, 0),
    isInSync: passes.every(({ isInSync }) => isInSync),
  }
}

async function patchOne(
  patcher: Patcher,
  first: Registration,
  bundle: Bundle,
  served: string,
): Promise<Pass> {
  const { api, report, revision } = patcher
  const path = `${REGISTRATIONS}/${encodeURIComponent(first.name)}`
  let registration: Registration | undefined = first
  for (let tries = 1; ; tries++) {
    const found = wrongOf(registration, bundle, served, report)
    if (found.length === 0) return { written: 0, isInSync: true }
    if (tries === 1) report.attempted(first.name)
    const encoded = Buffer.from(bundle.text).toString('base64')
    const body = printPatch(found, encoded)
    const query = { fieldManager: FIELD_MANAGER }
    const asked = await ask(api, { method: 'PATCH', path, query, contentType: JSON_PATCH, body })
    if (asked.ok) {
      const names = found.map(({ name }) => name)
      report.patched(first.name, names)
      return { written: found.length, isInSync: true }
    }
    if (asked.status === 404) {
      report.failed(first.name, 'webhook_config_not_found', asked.why)
      return { written: 0, isInSync: true }
    }
    if (!mayPass(asked.status, isConflict(asked)) || tries === TRIES) {
      report.failed(first.name, 'webhook_update_failure', asked.why)
      return { written: 0, isInSync: false }
    }
    report.retried(first.name)
    await sleep(PAUSE_MS)
    const again = await ask(api, { path })
    if (again.ok) registration = readRegistration(again.body, revision)
  }
}

/** The entries with another bundle that are ours to write. What keeps one from being so is told. */
function wrongOf(
  registration: Registration | undefined,
  bundle: Bundle,
  served: string,
  report: PatchReport,
): readonly Entry[] {
  if (registration === undefined) return []
  const { name, entries, isForeign } = registration
  if (isForeign) {
    report.foreign(name)
    return []
  }
  if (entries.length === 0) {
    report.failed(name, 'webhook_entry_not_found', 'no entry whose name ends as ours do')
  }
  const now = new Date()
  return entries.filter((entry) => {
    const why = whyUnverified(served, bundle, entry.host, now)
    if (why !== undefined) {
      report.failed(name, 'bundle_unverifiable', `${entry.name}: ${why}`)
      return false
    }
    return !hasBundle(entry, bundle)
  })
}

/** By bytes, not by text: base64 has more than one spelling. */
function hasBundle({ clientConfig }: Entry, bundle: Bundle): boolean {
  const { caBundle } = clientConfig
  return (
    typeof caBundle === 'string' && Buffer.from(caBundle, 'base64').equals(Buffer.from(bundle.text))
  )
}

/** Whether the same patch, made anew, may be taken: the object changed, or the API server is busy. */
function mayPass(status: number, hasChanged: boolean): boolean {
  return hasChanged || status === 429 || status >= 500
}
