import { rowOf, type Severity } from '../core/analysis/codes.ts'
import type { Finding, Subject } from '../core/analysis/model.ts'
import { quoted, visible } from '../core/problem.ts'
import { plain } from './texts.ts'

/** Where a finding's text stands. */
export type Place = { readonly file: string; readonly line: number; readonly column: number }

/** One finding as it is told. */
export type Reported = {
  readonly code: Finding['code']
  readonly severity: Severity
  readonly title: string
  /** What `istioctl analyze` calls it. */
  readonly istio?: string
  /** Absent for objects of a cluster. */
  readonly place?: Place
  readonly kind: string
  /** Empty for objects of the whole cluster. */
  readonly namespace: string
  readonly name: string
  /** JSON Pointer in the object. */
  readonly path: string
  readonly got: string
  readonly want: string
  /** All of it on one line. */
  readonly message: string
  readonly remedy: string
}

/** All that there is to tell. */
export type Report = {
  readonly findings: readonly Reported[]
  /** How many objects were looked at. */
  readonly objects: number
}

/** Makes a finding one that can be told alone. */
export function reported(
  { kind, namespace, name }: Subject,
  { code, path, got, want }: Finding,
  place: Place | undefined,
): Reported {
  const { severity, title, istio, sentence, remedy } = rowOf(code)
  return {
    code,
    severity,
    title,
    ...(istio === undefined ? {} : { istio }),
    ...(place === undefined ? {} : { place }),
    kind,
    namespace,
    name,
    path,
    got,
    want,
    message: `${plain(sentence)}: got ${quoted(got)}, want ${visible(want)}`,
    remedy: plain(remedy),
  }
}

/** The object as people write it: `Deployment shop/web`. */
export function objectName({ kind, namespace, name }: Reported): string {
  return visible(`${kind} ${namespace === '' ? name : `${namespace}/${name}`}`)
}
