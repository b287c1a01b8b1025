import { saysValue, type YamlDocument } from '../core/yaml.ts'
import { aliasesToExpand, allAliases } from './aliases.ts'
import { applyChange, type Change } from './change.ts'
import { editText } from './edit.ts'

/**
 * The text of a document after a change. Only what the change names differs from the source; a
 * document that does not change is its source. Should an anchor have been lost on the way, all aliases
 * of the document are written out. The result is read back before it is handed out:
 * should it not say what was wanted, that is a bug of ours, thrown and never written.
 */
export function changedText(name: string, document: YamlDocument, change: Change): string {
  const { text, root } = document
  if (change.kind === 'same' || root === undefined) return text
  const wanted = applyChange(document.value, change)
  for (const expanded of [aliasesToExpand(root, change), allAliases(root)]) {
    const edited = editText(text, root, change, expanded)
    const candidates = text.endsWith('\n') ? [edited] : [edited.replace(/\r?\n$/, ''), edited]
    for (const candidate of candidates) {
      if (saysValue(name, candidate, wanted)) return candidate
    }
  }
  throw new Error(`${name}: internal error, the edited text does not say what it should`)
}
