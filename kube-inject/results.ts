import type { Problem } from '../core/problem.ts'
import { parseDocuments } from '../core/yaml.ts'
import { injectDocument, type Setting } from './inject-document.ts'
import type { ObjectOutcome } from './pod-change.ts'
import type { Source } from './sources.ts'

/** What became of one document of a source. */
export type DocumentResult = {
  /** Its file, line and number. */
  readonly where: string
  readonly before: string
  /** Its new text; what it was where it could not be injected. */
  readonly text: string
  /** The pods and workloads in it, in their order. */
  readonly objects: readonly ObjectOutcome[]
  readonly warnings: readonly string[]
  readonly problems: readonly Problem[]
}

/** Injects the documents of a source one by one, so that memory stays flat in their number. */
export function* injectSource({ name, text }: Source, setting: Setting): Generator<DocumentResult> {
  let number = 0
  for (const document of parseDocuments(name, text)) {
    if (!document.ok) {
      const { problems } = document
      yield { where: name, before: '', text: '', objects: [], warnings: [], problems }
      continue
    }
    if (document.value.root !== undefined) number++
    const where = `${name}:${document.value.line}: document ${number}`
    const outcome = injectDocument(document.value, where, setting)
    yield { where, before: document.value.text, ...outcome }
  }
}
