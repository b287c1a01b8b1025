/** Reading the redirect plan. Its text may come from anybody who may write pods, so nothing is passed over. */
import { readCidr, type Cidr } from '../cidrs.ts'
import { LARGEST_OWNER_GROUPS } from '../constants.ts'
import { LARGEST_ID } from '../ids.ts'
import { isObject } from '../json.ts'
import { readPortRanges, singlePort, type PortRange } from '../ports.ts'
import { bad, good, type Problem, type Read } from '../problem.ts'
import { DEFAULT_INTERCEPTION, type InterceptionOptions } from './interception.ts'
import {
  asDigits,
  asText,
  holds,
  openObject,
  readFlag,
  readList,
  readNumber,
  readWord,
  shown,
  type Node,
} from './json-nodes.ts'
import { DEFAULT_LOOK, PLAN_VERSION, type RedirectPlan } from './redirect-plan.ts'
import { readStrictJson } from './strict-json.ts'
import { readInterfaceFlag, readLoopback, readMark, readRouteTable } from './values.ts'

/** Characters of the longest plan that is read. */
export const LONGEST_PLAN = 16384
/** Most users or groups that are the proxy. */
const MOST_IDS = 256
const LONGEST_REVISION = 253

/** Reads the annotation `path`. Unknown members, repeated ones and odd types are problems, each with its place. */
export function readRedirectPlan(path: string, text: string): Read<RedirectPlan> {
  if (text.length > LONGEST_PLAN) {
    return bad(path, `${text.length} characters`, `at most ${LONGEST_PLAN}`)
  }
  const json = readStrictJson(path, text)
  if (!json.ok) return json
  const problems: Problem[] = []
  const plan = readPlan({ path, value: json.value }, problems)
  return plan === undefined || problems.length > 0 ? { ok: false, problems } : good(plan)
}

const COMMON = ['v', 'apply', 'rev'] as const
const OF_NODE = [
  ...COMMON,
  ...(['mode', 'uid', 'gid', 'port', 'out', 'in', 'ifs', 'dns', 'dual', 'dropInvalid'] as const),
  ...(['hostUsers', 'group', 'loopback', 'tproxy', 'nft', 'look'] as const),
] as const

function readPlan(node: Node, problems: Problem[]): RedirectPlan | undefined {
  const { value } = node
  if (isObject(value) && value['v'] !== PLAN_VERSION) {
    problems.push({
      path: `${node.path}: /v`,
      got: shown(value['v']),
      want: `${PLAN_VERSION}, the only version of the plan that this program reads`,
    })
    return undefined
  }
  const isShort = isObject(value) && (value['apply'] === 'init' || value['apply'] === 'none')
  const { member, keep } = openObject(node, isShort ? COMMON : OF_NODE, problems)
  const apply = keep(readWord(member('apply'), 'cni', 'init', 'none'), 'none')
  const revision = keep(readRevision(member('rev')), '')
  if (apply !== 'cni') return { apply, revision }
  const look = member('look')
  const looks =
    look.value === undefined ? undefined : openObject(look, ['profile', 'style'], problems)
  return {
    apply,
    options: readOptions(node, problems),
    look:
      looks === undefined
        ? DEFAULT_LOOK
        : {
            profile: keep(readWord(looks.member('profile'), 'current', '1.8'), 'current'),
            style: keep(readWord(looks.member('style'), 'hyphen', 'underscore'), 'hyphen'),
          },
    nativeNftables: member('nft').value !== undefined && keep(readFlag(member('nft')), false),
    hostUsers: keep(readFlag(member('hostUsers')), true),
    revision,
  }
}

function readOptions(node: Node, problems: Problem[]): InterceptionOptions {
  // Unknown members were told already.
  const { member, keep } = openObject(node, undefined, problems)
  const part = <const Name extends string>(name: string, names: readonly Name[]) =>
    openObject(member(name), names, problems).member
  const port = part('port', ['out', 'in', 'tun'])
  const out = part('out', ['cidr', 'xcidr', 'ports', 'xports'])
  const inbound = part('in', ['ports', 'xports'])
  const interfaces = part('ifs', ['reroute', 'exclude'])
  const ports = (found: Node): readonly PortRange[] => keep(readList(found, readRange), [])
  const outbound = keep(readNumber(port('out'), 1, 65535), 1)
  const inboundPort = keep(readNumber(port('in'), 1, 65535), 2)
  if (outbound === inboundPort) {
    const want = 'another port than /port/out: one listener cannot take both directions'
    problems.push({ path: port('in').path, got: String(inboundPort), want })
  }
  return {
    mode: keep(readWord(member('mode'), 'REDIRECT', 'TPROXY'), 'REDIRECT'),
    ports: {
      outbound,
      inbound: inboundPort,
      tunnel: keep(readNumber(port('tun'), 1, 65535), 1),
    },
    proxyUids: keep(readIds(member('uid'), MOST_IDS), []),
    proxyGids: keep(readIds(member('gid'), MOST_IDS), []),
    inboundPorts: holds(inbound('ports'), '*')
      ? '*'
      : holds(inbound('ports'), 'none')
        ? 'none'
        : ports(inbound('ports')),
    excludeInboundPorts: ports(inbound('xports')),
    includeOutboundCidrs: holds(out('cidr'), '*')
      ? '*'
      : keep(readList(out('cidr'), readRangeOfAddresses), []),
    excludeOutboundCidrs: keep(readList(out('xcidr'), readRangeOfAddresses), []),
    includeOutboundPorts: ports(out('ports')),
    excludeOutboundPorts: ports(out('xports')),
    excludeInterfaces: keep(readList(interfaces('exclude'), readInterface), []),
    virtualInterfaces: keep(readList(interfaces('reroute'), readInterface), []),
    ...readRare(node, problems),
    dns: keep(readWord(member('dns'), 'off', 'servers', 'all'), 'off'),
    dropInvalid: keep(readFlag(member('dropInvalid')), false),
    dualStack: keep(readFlag(member('dual')), false),
  }
}

type RareName = 'ownerGroups' | 'excludeOwnerGroups' | 'loopback' | 'tproxy'

/** Settings that have their default where the plan does not name them. */
function readRare(node: Node, problems: Problem[]): Pick<InterceptionOptions, RareName> {
  const { member, keep } = openObject(node, undefined, problems)
  const { ownerGroups, excludeOwnerGroups, loopback, tproxy } = DEFAULT_INTERCEPTION
  const [group, mark] = [member('group'), member('tproxy')]
  const groups =
    group.value === undefined ? undefined : openObject(group, ['capture', 'leave'], problems).member
  const marks =
    mark.value === undefined ? undefined : openObject(mark, ['mark', 'table'], problems).member
  const range = member('loopback')
  return {
    ownerGroups:
      groups === undefined || holds(groups('capture'), '*')
        ? ownerGroups
        : keep(readIds(groups('capture'), LARGEST_OWNER_GROUPS), []),
    excludeOwnerGroups:
      groups === undefined ? excludeOwnerGroups : keep(readList(groups('leave'), readId), []),
    loopback: range.value === undefined ? loopback : keep(asText(range, readLoopback), loopback),
    tproxy:
      marks === undefined
        ? tproxy
        : {
            mark: keep(asDigits(marks('mark'), readMark), tproxy.mark),
            table: keep(asDigits(marks('table'), readRouteTable), tproxy.table),
          },
  }
}

/** Ids, at least one: without an owner the proxy would capture its own traffic. */
function readIds(node: Node, most: number): Read<readonly number[]> {
  const ids = readList(node, readId)
  if (!ids.ok || (ids.value.length > 0 && ids.value.length <= most)) return ids
  return bad(node.path, `${ids.value.length} items`, `1 to ${most} ids`)
}

function readId(node: Node): Read<number> {
  return readNumber(node, 0, LARGEST_ID)
}

/** A port as a number, several in a row as `8000-8100`. */
function readRange(node: Node): Read<PortRange> {
  if (typeof node.value === 'number') {
    const port = readNumber(node, 1, 65535)
    return port.ok ? good(singlePort(port.value)) : port
  }
  const text = typeof node.value === 'string' && /^\d+-\d+$/.test(node.value) ? node.value : ''
  const read = readPortRanges(node.path, text)
  const [range] = read.ok ? read.value.ranges : []
  return range === undefined
    ? bad(node.path, shown(node.value), 'a port, or a range such as "8000-8100"')
    : good(range)
}

function readRangeOfAddresses(node: Node): Read<Cidr> {
  return asText(node, readCidr)
}

function readInterface(node: Node): Read<string> {
  const read = asText(node, readInterfaceFlag)
  const [name] = read.ok ? read.value : []
  return name !== undefined && name === node.value
    ? good(name)
    : bad(node.path, shown(node.value), 'the name of an interface')
}

function readRevision({ path, value }: Node): Read<string> {
  return typeof value === 'string' && value.length <= LONGEST_REVISION
    ? good(value)
    : bad(path, shown(value), `a text of at most ${LONGEST_REVISION} characters`)
}
