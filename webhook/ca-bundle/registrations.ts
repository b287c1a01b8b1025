import type { Operation } from 'fast-json-patch'
import { DEFAULT_REVISION, ENTRY_SUFFIX, REVISION_LABEL } from '../../core/constants.ts'
import { hostOf } from '../../core/gates/entry.ts'
import { readClient } from '../../core/gates/read-webhooks.ts'
import { isArray, isObject, type JsonObject } from '../../core/json.ts'

/** Annotations by which cert-manager is asked to write the bundle: then it is the only writer. */
const CERT_MANAGER = [
  'cert-manager.io/inject-ca-from',
  'cert-manager.io/inject-ca-from-secret',
  'cert-manager.io/inject-apiserver-ca',
]

/** A MutatingWebhookConfiguration of ours, as much of it as matters for its bundles. */
export type Registration = {
  readonly name: string
  /** Entries whose names end as ours do. */
  readonly entries: readonly Entry[]
  /** Whether cert-manager writes its bundles. */
  readonly isForeign: boolean
}

/** One webhook of a configuration. */
export type Entry = {
  readonly name: string
  /** Where it stands in the list. */
  readonly index: number
  readonly clientConfig: JsonObject
  /** Whom the API server expects behind it: a DNS name or an address; empty where none is named. */
  readonly host: string
}

/** The selector of our configurations. */
export function labelSelectorOf(revision: string): string {
  return `${REVISION_LABEL}=${labelOf(revision)}`
}

function labelOf(revision: string): string {
  return revision === '' ? DEFAULT_REVISION : revision
}

/** Reads a configuration; undefined when it is not one of this revision. */
export function readRegistration(object: unknown, revision: string): Registration | undefined {
  const { metadata, webhooks } = isObject(object) ? object : {}
  const { name, labels, annotations } = isObject(metadata) ? metadata : {}
  if (typeof name !== 'string' || !isObject(labels)) return undefined
  if (labels[REVISION_LABEL] !== labelOf(revision)) return undefined
  const entries = isArray(webhooks) ? webhooks.flatMap(readEntry) : []
  const isForeign =
    isObject(annotations) && CERT_MANAGER.some((key) => annotations[key] !== undefined)
  return { name, entries, isForeign }
}

/**
 * The patch that gives entries this bundle (PEM in base64), each only while it is the entry that was
 * read: the same name at the same place, and nothing changed in how it is called.
 */
export function printPatch(entries: readonly Entry[], bundle: string): readonly Operation[] {
  return entries.flatMap(({ index, name, clientConfig }) => {
    const path = `/webhooks/${index}`
    return [
      { op: 'test', path: `${path}/name`, value: name },
      { op: 'test', path: `${path}/clientConfig`, value: clientConfig },
      { op: 'add', path: `${path}/clientConfig/caBundle`, value: bundle },
    ] as const
  })
}

function readEntry(webhook: unknown, index: number): readonly Entry[] {
  const { name, clientConfig } = isObject(webhook) ? webhook : {}
  if (typeof name !== 'string' || !isObject(clientConfig)) return []
  if (name !== ENTRY_SUFFIX && !name.endsWith(`.${ENTRY_SUFFIX}`)) return []
  return [{ name, index, clientConfig, host: hostOf(readClient(clientConfig)) }]
}
