import { Refusal } from '../../core/problem.ts'
import type { Setting } from '../../kube-inject/inject-document.ts'
import { injectSource } from '../../kube-inject/results.ts'

/** A manifest injected as kube-inject does it; throws a Refusal where a document has a problem. */
export function injectText(name: string, text: string, setting: Setting): string {
  const texts: string[] = []
  for (const document of injectSource({ name, below: name, text }, setting)) {
    if (document.problems.length > 0) throw new Refusal(document.problems)
    texts.push(document.text)
  }
  return texts.join('')
}
