import {
  isLinkLocal,
  isLoopback,
  readAddress,
  unmapped,
  type Address,
  type Family,
} from '../cidrs.ts'
import { type InterceptionOptions } from '../options/interception.ts'
import { bad, good, type Read } from '../problem.ts'

/** What the rules need to know of the machine, as it was found there. */
export type HostFacts = {
  /** Addresses of all interfaces, with or without `/bits`, in the order of the machine. */
  readonly addresses: readonly string[]
  /** The text of the resolver configuration; absent when there is none. */
  readonly resolvConf?: string
  /** Uids by user name. */
  readonly users: Readonly<Record<string, number>>
}

/** What those facts come to: which families get rules and which resolvers the pod asks. */
export type Site = {
  readonly families: readonly Family[]
  /** The family that the pod is known by: IPv4 wherever it has a usable IPv4 address. */
  readonly hostFamily: Family
  readonly resolvers: { readonly v4: readonly string[]; readonly v6: readonly string[] }
  /** Whether any resolver is named, be it one that no rule can name. */
  readonly hasResolver: boolean
  /** The addresses of the machine, as they were found. */
  readonly addresses: readonly string[]
  /** Lines for the log: settings that have no effect here, and why. */
  readonly warnings: readonly string[]
}

/** How far release 1.8 saw: it took any address that is not loopback. */
export type SiteOptions = Pick<InterceptionOptions, 'dns' | 'dualStack'> & {
  readonly linkLocalCounts: boolean
}

/** Reads the machine's facts. IPv6 gets rules where IPv4 is missing, or with dual stack where it is there. */
export function readSite(facts: HostFacts, options: SiteOptions): Read<Site> {
  const usable = facts.addresses
    .flatMap((text) => {
      const address = readAddress('address', text.replace(/\/.*$/, ''))
      return address.ok ? [unmapped(address.value)] : []
    })
    .filter((address) => !isLoopback(address))
    .filter((address) => options.linkLocalCounts || !isLinkLocal(address))
  const hasV4 = usable.some((address) => address.family === 'v4')
  const hasV6 = usable.some((address) => address.family === 'v6')
  if (!hasV4 && !hasV6) {
    return bad(
      'addresses',
      facts.addresses.join(', '),
      'an address of this pod: no valid local IP address found besides loopback and link-local ones',
    )
  }
  const servers = options.dns === 'servers'
  if (servers && facts.resolvConf === undefined) {
    return bad('/etc/resolv.conf', '', 'a readable file: DNS capture takes the resolvers from it')
  }
  const found = servers ? readResolvers(facts.resolvConf ?? '') : { addresses: [], refused: [] }
  return good({
    families: hasV6 && (options.dualStack || !hasV4) ? ['v4', 'v6'] : ['v4'],
    hostFamily: hasV4 ? 'v4' : 'v6',
    addresses: facts.addresses,
    hasResolver: found.addresses.length + found.refused.length > 0,
    resolvers: { v4: ofFamily(found.addresses, 'v4'), v6: ofFamily(found.addresses, 'v6') },
    warnings: [
      ...found.refused.map((text) => {
        return `resolver ${text}: left out of DNS capture, a rule cannot name an address with a zone`
      }),
      ...(servers && found.addresses.length + found.refused.length === 0
        ? ['DNS capture is off: no resolver in /etc/resolv.conf and --capture-all-dns is not set']
        : []),
    ],
  })
}

type Resolvers = { readonly addresses: readonly Address[]; readonly refused: readonly string[] }

/** Only the exact word counts, and only the first word after it; what is no address is passed over. */
function readResolvers(text: string): Resolvers {
  const words = text.split('\n').map((line) => line.trim().split(/\s+/))
  const texts = words.flatMap(([word, server]) =>
    word === 'nameserver' && server !== undefined ? [server] : [],
  )
  return {
    addresses: texts.flatMap((server) => {
      const address = readAddress('nameserver', server)
      return address.ok ? [address.value] : []
    }),
    refused: texts.filter((server) => /^[0-9a-fA-F:]+%[A-Za-z0-9_.-]+$/.test(server)),
  }
}

function ofFamily(addresses: readonly Address[], family: Family): string[] {
  return addresses.filter((address) => address.family === family).map((address) => address.text)
}
