/** Events as the API server takes them: events.k8s.io/v1. */
import { MERGE_PATCH, type ApiRequest } from '../../cluster/api.ts'
import { visible } from '../../core/problem.ts'
import { microTime } from '../micro-time.ts'

/** What an Event is about. It need not have a uid, but `kubectl describe` then does not list it. */
export type ObjectReference = {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  /** Where the Event is written; without it, as for what has no namespace, `default`. */
  readonly namespace?: string
  readonly uid?: string
}

/** Something that a user should know. */
export type Happening = {
  readonly regarding: ObjectReference
  readonly type: 'Normal' | 'Warning'
  /** A stable word in CamelCase. */
  readonly reason: string
  /** For people. Control characters are made visible, and a long text is cut. */
  readonly note: string
}

/** Who writes Events. */
export type Reporter = {
  /** A qualified name, the same for all replicas. */
  readonly controller: string
  /** This process, such as its pod's name. */
  readonly instance: string
}

/** How often it happened and when, as far as it is to be told now. */
export type Occurrence = {
  readonly count: number
  readonly firstAt: Date
  readonly lastAt: Date
}

/** Bytes of a note (events.k8s.io/v1, Event.note) and characters of an instance and a reason. */
const LONGEST_NOTE = 1024
const LONGEST_WORD = 128

/** The call that creates an Event called `name`. */
export function creation(
  name: string,
  happening: Happening,
  occurrence: Occurrence,
  reporter: Reporter,
): ApiRequest {
  const { regarding, type, reason, note } = happening
  const { count, firstAt } = occurrence
  const namespace = namespaceOf(regarding)
  const body = {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name, namespace },
    eventTime: microTime(firstAt),
    reportingController: reporter.controller,
    reportingInstance: reporter.instance.slice(0, LONGEST_WORD),
    action: 'InjectSidecar',
    reason,
    regarding,
    note: cut(visible(note)),
    type,
    ...(count > 1 ? { series: seriesOf(occurrence) } : {}),
  }
  return { method: 'POST', path: collection(namespace), body }
}

/** The call that tells of repetitions of an Event that was created. */
export function repetition(
  name: string,
  { regarding }: Happening,
  occurrence: Occurrence,
): ApiRequest {
  return {
    method: 'PATCH',
    path: `${collection(namespaceOf(regarding))}/${encodeURIComponent(name)}`,
    body: { series: seriesOf(occurrence) },
    contentType: MERGE_PATCH,
  }
}

/** The object's name with a suffix, as others name their Events; `suffix` makes it the only one. */
export function eventName({ name }: ObjectReference, suffix: string): string {
  // A name that is none, or none that could take a suffix, would make the Event invalid.
  const isName = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name)
  return `${isName && name.length <= 200 ? name : 'unnamed'}.${suffix}`
}

function seriesOf({ count, lastAt }: Occurrence): object {
  return { count, lastObservedTime: microTime(lastAt) }
}

function namespaceOf({ namespace = '' }: ObjectReference): string {
  return namespace === '' ? 'default' : namespace
}

function collection(namespace: string): string {
  return `/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/events`
}

/** As much of a text as fits, never half a character. */
function cut(text: string): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= LONGEST_NOTE) return text
  const mark = '…'
  const room = LONGEST_NOTE - Buffer.byteLength(mark)
  const kept = new TextDecoder().decode(bytes.subarray(0, room), { stream: true })
  return `${kept}${mark}`
}
