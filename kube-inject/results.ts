import type { Problem } from '../core/problem.ts'
import { parseDocuments } from '../core/yaml.ts'
import { splitStream } from '../core/yaml/stream.ts'
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
  const problems = tooLarge(name, text)
  if (problems.length > 0) {
    yield { where: name, before: '', text: '', objects: [], warnings: [], problems }
    return
  }
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

/** Characters of one document: many times what an API server takes, and what fits into memory as a tree. */
const MOST_CHARACTERS = 16 * 1024 * 1024

function tooLarge(name: string, text: string): readonly Problem[] {
  if (text.length <= MOST_CHARACTERS) return []
  return splitStream(text).flatMap(({ start, end }) => {
    if (end - start <= MOST_CHARACTERS) return []
    const line = text.slice(0, start).split('\n').length
    const want = `at most ${MOST_CHARACTERS} characters in each document`
    return [{ path: `${name}:${line}:1`, got: `a document of ${end - start} characters`, want }]
  })
}
