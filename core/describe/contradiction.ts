/** What can be wrong with a pod's capture, the worst first: what stands before explains what stands behind. */
export const CODES = [
  'plan-changed',
  'rules-missing',
  'rules-unasked',
  'written-twice',
  'two-writers',
  'other-backend',
  'proxy-captured',
  'nobody-listens',
  'port-excluded',
  'port-captured',
  'goes-elsewhere',
  'ipv6-half',
  'dns-not-captured',
  'dns-nobody',
  'route-missing',
  'not-ready',
  'probe-nobody',
  'rules-differ',
  'annotation-late',
  'all-excluded',
  'ipv6-open',
] as const

/** One thing that does not fit another: a stable word, a sentence, and what to do. */
export type Contradiction = {
  readonly code: (typeof CODES)[number]
  readonly says: string
  readonly remedy: string
}

/** The same, the first cause first. */
export function inOrder(found: readonly Contradiction[]): readonly Contradiction[] {
  return [...found].sort((a, b) => CODES.indexOf(a.code) - CODES.indexOf(b.code))
}

/** `15001`, `15001 and 15006`, `80, 443 and 9000`. */
export function listed(items: readonly (string | number)[]): string {
  const last = items.at(-1)
  if (last === undefined) return ''
  return items.length === 1 ? `${last}` : `${items.slice(0, -1).join(', ')} and ${last}`
}
