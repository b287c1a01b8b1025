import { demand, type Api } from '../../cluster/api.ts'
import type { BrokenPod } from './broken.ts'

/** What people read about their pod. */
export type Note = {
  readonly reason: string
  readonly action: string
  readonly message: string
  readonly isGood: boolean
}

/** Longest message that the API takes. */
const LONGEST_NOTE = 1024

/** Writes an Event about a pod. Throws where the API server does not take it. */
export async function writeEvent(
  api: Api,
  pod: BrokenPod,
  note: Note,
  node: string,
  now: Date,
): Promise<void> {
  const { namespace, name, uid } = pod
  const time = now.toISOString()
  const body = {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { namespace, generateName: 'repair-' },
    eventTime: time.replace('Z', '000Z'),
    type: note.isGood ? 'Normal' : 'Warning',
    reason: note.reason,
    action: note.action,
    note: note.message.slice(0, LONGEST_NOTE),
    regarding: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid },
    reportingController: 'sidecar-injector.io/repair',
    reportingInstance: node.slice(0, 128),
  }
  const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`
  demand(await api.call({ method: 'POST', path, body }), 201)
}
