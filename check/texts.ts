/** A text, or the empty one for anything else. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** The words of the table without their Markdown: for terminals and for plain texts of SARIF. */
export function plain(markdown: string): string {
  return markdown
    .replace(/\[([^\]]+)\]\([^)]*\)/g, 'docs/reference: $1')
    .replace(/`/g, '')
    .replace(/\*(\w+)\*/g, '$1')
}
