/** How chain names are written: `ISTIO-INBOUND` or, as Istio's own binary writes them, `ISTIO_INBOUND`. */
export type ChainStyle = 'hyphen' | 'underscore'

/** Chains of ours, by what they are for. */
export type ChainNames = {
  readonly inbound: string
  readonly redirect: string
  readonly inRedirect: string
  readonly output: string
  readonly outputDns: string
  readonly divert: string
  readonly tproxy: string
  readonly drop: string
}

const UNDERSCORE: ChainNames = {
  inbound: 'ISTIO_INBOUND',
  redirect: 'ISTIO_REDIRECT',
  inRedirect: 'ISTIO_IN_REDIRECT',
  output: 'ISTIO_OUTPUT',
  outputDns: 'ISTIO_OUTPUT_DNS',
  divert: 'ISTIO_DIVERT',
  tproxy: 'ISTIO_TPROXY',
  drop: 'ISTIO_DROP',
}

const HYPHEN: ChainNames = {
  inbound: 'ISTIO-INBOUND',
  redirect: 'ISTIO-REDIRECT',
  inRedirect: 'ISTIO-IN-REDIRECT',
  output: 'ISTIO-OUTPUT',
  outputDns: 'ISTIO-OUTPUT-DNS',
  divert: 'ISTIO-DIVERT',
  tproxy: 'ISTIO-TPROXY',
  drop: 'ISTIO-DROP',
}

/** The names of our chains in a style. */
export function chainNames(style: ChainStyle): ChainNames {
  return style === 'hyphen' ? HYPHEN : UNDERSCORE
}

/** Whether a chain belongs to this tool or to Istio's, in either style and of whatever release. */
export function isOurChain(name: string): boolean {
  return /^ISTIO[-_]/.test(name)
}

/** A chain name of ours in a style; any other name as it is. */
export function inStyle(name: string, style: ChainStyle): string {
  if (!isOurChain(name)) return name
  return style === 'hyphen' ? name.replaceAll('_', '-') : name.replaceAll('-', '_')
}

/** A built-in chain, which exists without being made and cannot be removed. */
export function isBuiltIn(name: string): boolean {
  return /^(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)$/.test(name)
}
