/** The network namespace of a pod that runs already, found among the processes of the node. */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { isIPv6 } from 'node:net'

/** What tells the pod's processes: its uid in their cgroup, or else its address in their network. */
export type Sought = { readonly uid: string; readonly ips: readonly string[] }

/** A process and the network namespace that it is in, as the kernel names it: `net:[4026531840]`. */
type Found = { readonly pid: string; readonly netns: string }

/** The oldest process of the one namespace that is the pod's. `own` are namespaces that never are. */
export async function findNetns(
  hostProc: string,
  { uid, ips }: Sought,
  own: readonly (string | undefined)[],
): Promise<Found | string> {
  const groups = await namespaces(hostProc, own)
  const named = await keepWhere(groups, (group) =>
    anyOf(group.pids, (pid) => isInPod(hostProc, pid, uid)),
  )
  const withAddress = async (some: readonly Group[]): Promise<readonly Group[]> =>
    keepWhere(some, ({ pids: [pid = ''] }) => hasAddress(hostProc, pid, ips))
  // By the cgroup alone it is sure, unless a container has made a namespace of its own.
  const candidates =
    named.length === 1 ? named : await withAddress(named.length > 1 ? named : groups)
  const [group] = candidates
  if (group === undefined) {
    return `no process of the node is in pod ${uid}, and none has ${ips.join(' or ') || 'an address of it'}`
  }
  if (candidates.length > 1) {
    return `${candidates.length} network namespaces of the node have ${ips.join(' or ')}`
  }
  return { netns: group.netns, pid: await oldest(hostProc, group.pids) }
}

/** Processes that share a namespace; at least one. */
type Group = { readonly netns: string; readonly pids: readonly string[] }

/** The network namespaces of a node's processes; `own` are left out. */
export async function namespaces(
  hostProc: string,
  own: readonly (string | undefined)[],
): Promise<readonly Group[]> {
  const pids = (await readdir(hostProc)).filter((name) => /^\d+$/.test(name))
  const groups = new Map<string, string[]>()
  for (const pid of pids) {
    const netns = await namespaceOf(join(hostProc, pid))
    if (netns === undefined || own.includes(netns)) continue
    const group = groups.get(netns)
    if (group === undefined) groups.set(netns, [pid])
    else group.push(pid)
  }
  return [...groups].map(([netns, some]) => ({ netns, pids: some }))
}

/** The namespace of a process, by its folder in proc. */
export function namespaceOf(process: string): Promise<string | undefined> {
  return namespaceAt(join(process, 'ns/net'))
}

/** `net:[4026531840]`; undefined for a process that ended or that we may not look at. */
export function namespaceAt(path: string): Promise<string | undefined> {
  return readlink(path).catch(() => undefined)
}

/** Whether a cgroup is a pod's: `pod<uid>`, where systemd writes `_` for `-`. */
async function isInPod(hostProc: string, pid: string, uid: string): Promise<boolean> {
  const text = await readText(join(hostProc, pid, 'cgroup'))
  return text.includes(`pod${uid}`) || text.includes(`pod${uid.replaceAll('-', '_')}`)
}

/** Whether one of the addresses is a local one in the network of a process. */
async function hasAddress(hostProc: string, pid: string, ips: readonly string[]): Promise<boolean> {
  if (ips.length === 0) return false
  const [v4, v6] = await Promise.all(
    ['net/fib_trie', 'net/if_inet6'].map((name) => readText(join(hostProc, pid, name))),
  )
  return ips.some((ip) => {
    return isIPv6(ip) ? (v6 ?? '').includes(hexOf(ip)) : localAddresses(v4 ?? '').has(ip)
  })
}

/** IPv4 addresses of the interfaces: the leaves of the routing table that are `host LOCAL`. */
function localAddresses(trie: string): ReadonlySet<string> {
  const leaves = trie.matchAll(/\|-- (\d+\.\d+\.\d+\.\d+)\n\s+\/32 host LOCAL/g)
  return new Set([...leaves].map(([, address = '']) => address))
}

/** The 32 digits under which the kernel lists an IPv6 address. */
function hexOf(ip: string): string {
  const url = new URL(`http://[${ip}]`).hostname.slice(1, -1)
  const [head = '', tail] = url.split('::')
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const [first, last] = [groups(head), groups(tail ?? '')]
  const gap = Array.from({ length: 8 - first.length - last.length }, () => '0')
  return [...first, ...gap, ...last].map((group) => group.padStart(4, '0')).join('')
}

/** The process that was there first: the one that holds the pod's namespaces for the runtime. */
async function oldest(hostProc: string, pids: readonly string[]): Promise<string> {
  const ages = await Promise.all(
    pids.map(async (pid) => ({ pid, start: startOf(await readText(join(hostProc, pid, 'stat'))) })),
  )
  const [first] = ages.sort((a, b) => a.start - b.start)
  return first?.pid ?? ''
}

/** Field 22 of stat: ticks since the start of the machine. The name in field 2 may hold anything. */
function startOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(fields[19] ?? Infinity)
}

async function keepWhere(
  groups: readonly Group[],
  isWanted: (group: Group) => Promise<boolean>,
): Promise<readonly Group[]> {
  const kept: Group[] = []
  for (const group of groups) if (await isWanted(group)) kept.push(group)
  return kept
}

async function anyOf(
  pids: readonly string[],
  isWanted: (pid: string) => Promise<boolean>,
): Promise<boolean> {
  for (const pid of pids) if (await isWanted(pid)) return true
  return false
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}
