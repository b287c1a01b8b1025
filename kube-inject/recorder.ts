import type { DocumentResult } from './results.ts'
import type { Source } from './sources.ts'

/**
 * Somebody who wants to know what became of the documents, and acts on it once all are known to be
 * right: one writes them, one compares, one reports. A run feeds them all.
 */
export type Recorder = {
  /** The next document of a source; the sources come one after the other. */
  readonly take: (source: Source, document: DocumentResult) => void
  /** Called where no document had a problem. Throws a Refusal where there is something to refuse. */
  readonly finish: () => Promise<void>
}
