/** Whether an entry of ours trusts the CA that its replicas sign with, where the Secret may be read. */
import type { Api } from './api.ts'
import { readBundle } from './verify.ts'
import { revisionOf, type GateEntry } from '../core/gates/entry.ts'
import { DEFAULT_REVISION } from '../core/constants.ts'
import { isObject } from '../core/json.ts'
import { lookAt } from './look.ts'

/** What the Secret says; undefined where there is none, or nothing to compare. */
export type SecretCheck = {
  readonly state: 'ok' | 'broken' | 'unknown'
  readonly sentence: string
}

/** Secrets that hold our CA: the own one, and the one of cert-manager or of files. */
const SECRETS = ['sidecar-injector-ca', 'sidecar-injector-tls'] as const

/** Compares certificates only; keys are not looked at. */
export async function checkSecret(api: Api, entry: GateEntry): Promise<SecretCheck | undefined> {
  const { client, configuration, caBundle } = entry
  if (client.by !== 'service') return undefined
  const revision = revisionOf(configuration) ?? DEFAULT_REVISION
  const suffix = revision === DEFAULT_REVISION ? '' : `-${revision}`
  const path = `/api/v1/namespaces/${encodeURIComponent(client.namespace)}/secrets`
  for (const name of SECRETS.map((secret) => `${secret}${suffix}`)) {
    const looked = await lookAt(api, path, name)
    const called = `Secret ${client.namespace}/${name}`
    if (looked.kind === 'unseen') return { state: 'unknown', sentence: `${called}: ${looked.why}` }
    if (looked.kind === 'missing') continue
    const { data } = looked.value
    const ca = isObject(data) ? certificatesOf(data['ca.crt']) : []
    if (ca.length === 0) continue
    const trusted = new Set(certificatesOf(caBundle))
    return ca.some((one) => trusted.has(one))
      ? { state: 'ok', sentence: `its caBundle holds the CA of the ${called}` }
      : { state: 'broken', sentence: `its caBundle does not hold the CA of the ${called}` }
  }
  return undefined
}

/** Fingerprints of the certificates in PEM in base64. */
function certificatesOf(base64: unknown): readonly string[] {
  if (typeof base64 !== 'string') return []
  const read = readBundle('', Buffer.from(base64, 'base64').toString())
  return read.ok ? read.value.certificates.map(({ fingerprint256 }) => fingerprint256) : []
}
