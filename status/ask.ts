/** One AdmissionReview, posted as an API server does: over verified TLS, as a dry run. */
import { request } from 'node:https'
import { isIP } from 'node:net'
import { text } from 'node:stream/consumers'
import { readBundle } from '../cluster/verify.ts'
import { textAt } from '../cluster/members.ts'
import type { Place } from '../cluster/reach.ts'
import { hostOf, type GateEntry } from '../core/gates/entry.ts'
import type { JsonObject } from '../core/json.ts'

/** What came of it. */
export type Asked =
  | { readonly kind: 'answered'; readonly status: number; readonly body: string }
  | { readonly kind: 'late' }
  | { readonly kind: 'failed'; readonly why: string }

/** How to find out. */
export type Ask = (place: Place, entry: GateEntry, pod: JsonObject) => Promise<Asked>

/** Posts a pod to the path that an entry names, with the time that the entry gives. */
export const ask: Ask = ({ address, port }, entry, pod) => {
  const host = hostOf(entry.client)
  const bundle = readBundle('caBundle', Buffer.from(entry.caBundle, 'base64').toString())
  const signal = AbortSignal.timeout(entry.timeoutSeconds * 1000)
  const body = JSON.stringify(reviewOf(pod))
  return new Promise((resolve) => {
    const fail = (error: Error): void => {
      resolve(signal.aborted ? { kind: 'late' } : { kind: 'failed', why: error.message })
    }
    const call = request(
      {
        host: address,
        port,
        path: pathOf(entry),
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        ...(isIP(host) === 0 ? { servername: host } : {}),
        ...(bundle.ok ? { ca: bundle.value.text } : {}),
        rejectUnauthorized: true,
        agent: false,
        signal,
      },
      (answer) => {
        text(answer).then((read) => {
          resolve({ kind: 'answered', status: answer.statusCode ?? 0, body: read })
        }, fail)
      },
    )
    call.on('error', fail)
    call.end(body)
  })
}

function pathOf({ client }: GateEntry): string {
  if (client.by === 'service') return client.path
  const { pathname, search } = new URL(client.url)
  return `${pathname}${search}`
}

function reviewOf(pod: JsonObject): JsonObject {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'sidecar-injector-doctor',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      namespace: textAt(pod, 'metadata', 'namespace'),
      operation: 'CREATE',
      dryRun: true,
      userInfo: { username: 'sidecar-injector-doctor' },
      object: pod,
    },
  }
}
