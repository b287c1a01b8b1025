/** A part of a stream: a document with the marker and the comments before it. Offsets into the text. */
export type Slice = { readonly start: number; readonly end: number }

/**
 * Cuts a stream where its documents begin: at each `---` and behind each `...`. The slices put
 * together are the text. Directives stay with the document that they stand before.
 */
export function splitStream(text: string): readonly Slice[] {
  const cuts: number[] = []
  let start = 0
  for (const { index, 0: marker } of text.matchAll(MARKER)) {
    const cut = marker.startsWith('.') ? lineEnd(text, index) : index
    if (
      cut <= start ||
      cut === text.length ||
      (cut === index && isPreamble(text.slice(start, cut)))
    )
      continue
    cuts.push(cut)
    start = cut
  }
  const bounds = [0, ...cuts, text.length]
  return bounds.slice(1).map((end, index) => ({ start: bounds[index] ?? 0, end }))
}

const MARKER = /^(?:---|\.\.\.)(?=[ \t\r\n]|$)/gm

/** Only blank lines, comments and at least one directive. */
function isPreamble(text: string): boolean {
  return /^%/m.test(text) && text.split('\n').every((line) => /^\uFEFF?\s*(?:[%#]|$)/.test(line))
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\n', from)
  return end < 0 ? text.length : end + 1
}
