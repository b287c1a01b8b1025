import { isLoopback, readCidr, readCidrFlag, type Cidr } from '../cidrs.ts'
import { SELF_CALL_MARK } from '../constants.ts'
import { readOwners, type Owner } from '../ids.ts'
import { readPortRanges, type PortRanges } from '../ports.ts'
import { bad, formatProblem, good, type Read } from '../problem.ts'
import {
  DEFAULT_INTERCEPTION,
  type InterceptionMode,
  type InterceptionOptions,
} from './interception.ts'

export { readOwners } from '../ids.ts'
export { readInterfaceFlag } from '../interfaces.ts'
export { readListenPort } from '../ports.ts'

/** The IPv4 range that counts as loopback unless told otherwise. */
export const LOOPBACK_DEFAULT = DEFAULT_INTERCEPTION.loopback

/** Longest text of one setting: far above any real list, far below what hurts. */
const LONGEST = 65536
/** Most items of one list. */
const MOST = 4096

/** A reader of words out of a fixed set. */
export function oneOf<const Word extends string>(...words: readonly Word[]) {
  return (path: string, text: string): Read<Word> => {
    const found = words.find((word) => word === text)
    const named = words.map((word) => (word === '' ? 'nothing' : word)).join(' or ')
    return found === undefined ? bad(path, text, named) : good(found)
  }
}

const readWrittenMode = oneOf('REDIRECT', 'TPROXY', 'NONE')

/** Reads the interception mode. Nothing at all means REDIRECT. */
export function readMode(path: string, text: string): Read<InterceptionMode> {
  return text === '' ? good('REDIRECT') : readWrittenMode(path, text)
}

/** Reads a list of ports and ranges, of a reasonable size. */
export function readPortList(path: string, text: string): Read<PortRanges> {
  if (text.length > LONGEST || text.split(',').length > MOST) {
    return bad(path, text, `a list of at most ${MOST} ports`)
  }
  return readPortRanges(path, text)
}

/** Reads the users or groups that are the proxy: at least one, or its own traffic would loop. */
export function readProxyIds(path: string, text: string): Read<readonly Owner[]> {
  const ids = readOwners(path, text)
  return ids.ok && ids.value.length === 0
    ? bad(path, text, 'at least one id: without it the proxy would capture its own traffic')
    : ids
}

/** Reads the groups whose traffic is captured; `*` is all. An empty list would silently capture nothing. */
export function readOwnerGroups(
  path: string,
  text: string,
  most: number,
): Read<'*' | readonly Owner[]> {
  if (text === '*') return good('*')
  const groups = readOwners(path, text)
  if (!groups.ok) return groups
  if (groups.value.length === 0) return bad(path, text, 'at least one group, or * for all')
  return groups.value.length > most
    ? bad(
        path,
        `${groups.value.length} groups`,
        `at most ${most} groups: one rule cannot name more`,
      )
    : groups
}

/** Reads the IPv4 range that counts as loopback: inside 127.0.0.0/8. */
export function readLoopback(path: string, text: string): Read<Cidr> {
  const cidr = readCidr(path, text)
  if (!cidr.ok) return cidr
  const { family, address, bits } = cidr.value
  const isInside = family === 'v4' && isLoopback({ family, text: address }) && bits >= 8
  return isInside ? cidr : bad(path, text, 'an IPv4 range inside 127.0.0.0/8 such as 127.0.0.1/32')
}

/** Reads a firewall mark, decimal or hexadecimal. */
export function readMark(path: string, text: string): Read<number> {
  const mark = /^(\d{1,10}|0[xX][0-9a-fA-F]{1,8})$/.test(text) ? Number(text) : 0
  if (mark === SELF_CALL_MARK) {
    return bad(path, text, `another mark: ${SELF_CALL_MARK} marks the proxy's calls to its own pod`)
  }
  return mark >= 1 && mark <= 0xffffffff
    ? good(mark)
    : bad(path, text, 'a mark from 1 to 4294967295')
}

const KERNEL_TABLES = [253, 254, 255]

/** Reads the number of a routing table that is free to use. */
export function readRouteTable(path: string, text: string): Read<number> {
  const table = /^\d{1,10}$/.test(text) ? Number(text) : 0
  const isFree = table >= 1 && table <= 0x7fffffff && !KERNEL_TABLES.includes(table)
  return isFree
    ? good(table)
    : bad(
        path,
        text,
        'a routing table from 1 to 2147483647 but not 253, 254 or 255, which the kernel uses',
      )
}

/** Reads an absolute path; nothing is nothing. */
export function readPath(path: string, text: string): Read<string> {
  return text === '' || /^\/[^\p{Cc}]{0,4095}$/u.test(text)
    ? good(text)
    : bad(path, text, 'an absolute path')
}

/** A reader of ranges as release 1.8 had it: what is no range is passed over with a warning. */
export function lenientCidrs(warnings: string[]) {
  return (path: string, text: string): Read<readonly Cidr[]> => {
    if (text === '*') return readCidrFlag(path, text)
    return good(
      text.split(',').flatMap((item) => {
        const cidrs = readCidrFlag(path, item)
        if (cidrs.ok) return cidrs.value
        warnings.push(
          `passed over, as release 1.8 does: ${cidrs.problems.map(formatProblem).join('; ')}`,
        )
        return []
      }),
    )
  }
}

/** What release 1.8 has no rules for although it was asked for. */
export function withoutEffectIn18(options: InterceptionOptions): string[] {
  const asked: readonly (readonly [string, boolean])[] = [
    ['--istio-exclude-interfaces', options.excludeInterfaces.length > 0],
    ['--drop-invalid', options.dropInvalid],
    ['--dual-stack', options.dualStack],
    ['ISTIO_OUTBOUND_OWNER_GROUPS', options.ownerGroups !== '*'],
    ['ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE', options.excludeOwnerGroups.length > 0],
  ]
  return asked.flatMap(([name, isAsked]) =>
    isAsked ? [`${name}: no effect, release 1.8 has no such rule`] : [],
  )
}
