import type { Operation } from 'fast-json-patch'
import { readBundle, type Bundle } from '../../cluster/verify.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import type { Problem, Read } from '../../core/problem.ts'
import type { KeyPair } from '../tls/authority.ts'

/** The own CA as it lies in a Secret: all that a leader needs to go on where another one stopped. */
export type AuthorityState = Kept & {
  readonly resourceVersion: string
  /** Whether the Secret has annotations at all. */
  readonly hasAnnotations: boolean
  /** What somebody asked for by hand. */
  readonly request: string | undefined
}

/** What of it is ours and is written again when the Secret went away. */
export type Kept = {
  /** Signs the leaves. */
  readonly ca: KeyPair
  /** Will sign them once every API server can have its certificate. */
  readonly next: KeyPair | undefined
  /** Signed them before, PEM; empty when none did. Trusted as long as a leaf of it may be served. */
  readonly old: string
  /** Old ones stay trusted until then; without a time, for the rotation delay. */
  readonly oldUntil: Date | undefined
  /** Changes when every replica must make its leaf anew. */
  readonly leaves: string
}

/** Keys in the Secret's data. */
const DATA = {
  cert: 'ca.crt',
  key: 'ca.key',
  nextCert: 'next-ca.crt',
  nextKey: 'next-ca.key',
  old: 'old-ca.crt',
} as const

/** Annotation by which somebody asks for a rotation: `leaf` or `ca`. */
export const ROTATE_ANNOTATION = 'sidecar-injector.io/rotate'
const LEAVES_ANNOTATION = 'sidecar-injector.io/leaves-since'
const OLD_UNTIL_ANNOTATION = 'sidecar-injector.io/old-ca-until'

/** Reads the Secret; `path` names it in problems, which never show what is in it. */
export function readState(path: string, secret: unknown): Read<AuthorityState> {
  const { metadata, data } = isObject(secret) ? secret : {}
  const { resourceVersion, annotations } = isObject(metadata) ? metadata : {}
  const notes: JsonObject = isObject(annotations) ? annotations : {}
  const text = (key: string): string => {
    const found = isObject(data) ? data[key] : undefined
    return typeof found === 'string' ? Buffer.from(found, 'base64').toString() : ''
  }
  const problems: Problem[] = []
  const check = (key: string): void => {
    const read = readBundle(`${path} ${key}`, text(key))
    if (!read.ok) problems.push(...read.problems)
  }
  check(DATA.cert)
  const next = { cert: text(DATA.nextCert), key: text(DATA.nextKey) }
  if (next.cert !== '') check(DATA.nextCert)
  if (text(DATA.old) !== '') check(DATA.old)
  for (const [cert, key] of [
    [DATA.cert, DATA.key],
    [DATA.nextCert, DATA.nextKey],
  ] as const) {
    if ((cert === DATA.cert || next.cert !== '') && text(key) === '') {
      problems.push({ path: `${path} ${key}`, got: 'none', want: `the key of ${cert}` })
    }
  }
  if (problems.length > 0) return { ok: false, problems }
  const until = new Date(textOf(notes[OLD_UNTIL_ANNOTATION]) ?? '')
  return {
    ok: true,
    value: {
      resourceVersion: textOf(resourceVersion) ?? '',
      hasAnnotations: isObject(annotations),
      ca: { cert: text(DATA.cert), key: text(DATA.key) },
      next: next.cert === '' ? undefined : next,
      old: text(DATA.old),
      oldUntil: Number.isNaN(until.getTime()) ? undefined : until,
      leaves: textOf(notes[LEAVES_ANNOTATION]) ?? '',
      request: textOf(notes[ROTATE_ANNOTATION]),
    },
  }
}

/** Everything that API servers must trust: what signs, what will sign and what signed before. */
export function bundleOf({ ca, next, old }: Kept): Read<Bundle> {
  return readBundle('own CA', [ca.cert, next?.cert ?? '', old].join('\n'))
}

/** The Secret of a CA: a new one, or one that went away. */
export function printSecret(
  name: string,
  labels: Readonly<Record<string, string>>,
  state: Kept,
): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: { name, labels, annotations: present(annotationsOf(state)) },
    data: present(dataOf(state)),
  }
}

/** The patch from one state to the next; it applies to nothing but the Secret that was read. */
export function printStep(from: AuthorityState, to: AuthorityState): readonly Operation[] {
  const [before, after] = [allNotesOf(from), allNotesOf(to)]
  return [
    { op: 'test', path: '/metadata/resourceVersion', value: from.resourceVersion },
    // A Secret of somebody's own making may have no annotations to write into.
    ...(from.hasAnnotations
      ? []
      : ([{ op: 'add', path: '/metadata/annotations', value: {} }] as const)),
    ...changes('/data', dataOf(from), dataOf(to)),
    ...changes('/metadata/annotations', before, after),
  ]
}

function allNotesOf(state: AuthorityState): Fields {
  return { ...annotationsOf(state), [ROTATE_ANNOTATION]: state.request }
}

type Fields = Readonly<Record<string, string | undefined>>

function dataOf(state: Kept): Fields {
  const encoded = (text: string | undefined): string | undefined =>
    text === undefined || text === '' ? undefined : Buffer.from(text).toString('base64')
  return {
    [DATA.cert]: encoded(state.ca.cert),
    [DATA.key]: encoded(state.ca.key),
    [DATA.nextCert]: encoded(state.next?.cert),
    [DATA.nextKey]: encoded(state.next?.key),
    [DATA.old]: encoded(state.old),
  }
}

function annotationsOf(state: Kept): Fields {
  return {
    [LEAVES_ANNOTATION]: state.leaves === '' ? undefined : state.leaves,
    [OLD_UNTIL_ANNOTATION]: state.oldUntil?.toISOString(),
  }
}

function changes(root: string, from: Fields, to: Fields): readonly Operation[] {
  return Object.keys(to).flatMap((key): readonly Operation[] => {
    const path = `${root}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
    const value = to[key]
    if (value === from[key]) return []
    return value === undefined ? [{ op: 'remove', path }] : [{ op: 'add', path, value }]
  })
}

function present(fields: Fields): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
