/** Finding a pod's network namespace among processes: a made-up proc first, then real namespaces. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { holdNetns } from '../../../cni-plugin/repair/hold-netns.ts'
import { findNetns } from '../../../iptables-init/find-netns.ts'
import { kernelUnavailable } from '../../iptables-init/lab.ts'
import { need } from '../../require.ts'

const UID = '5f0e5c1a-1111-2222-3333-444455556666'
const CGROUPFS = `0::/kubepods/burstable/pod${UID}/abc\n`
const SYSTEMD = `0::/kubepods.slice/kubepods-pod${UID.replaceAll('-', '_')}.slice/cri-abc.scope\n`
const ELSEWHERE = '0::/kubepods/podffffffff-1111-2222-3333-444455556666/abc\n'
const V6 = 'fd00000000000000000000000000000a 02 40 00 80     eth0\n'

function trie(...addresses: readonly string[]): string {
  const leaves = addresses.map((one) => `           |-- ${one}\n              /32 host LOCAL\n`)
  // The network itself and its broadcast address are no addresses of the pod.
  return `Main:\n  +-- 0.0.0.0/0 3 0 5\n${leaves.join('')}           |-- 10.9.9.9\n              /24 link UNICAST\n`
}

type Process = {
  readonly pid: number
  readonly netns: number
  readonly cgroup?: string
  readonly trie?: string
  readonly v6?: string
  readonly start?: number
}

/** The host is netns 1. */
async function proc(t: Test, processes: readonly Process[]): Promise<string> {
  const folder = t.testdir({ self: {}, uptime: '1' })
  for (const {
    pid,
    netns,
    cgroup = '0::/\n',
    trie: routes = '',
    v6 = '',
    start = 5,
  } of processes) {
    const at = join(folder, `${pid}`)
    await mkdir(join(at, 'ns'), { recursive: true })
    await mkdir(join(at, 'net'))
    await symlink(`net:[${netns}]`, join(at, 'ns/net'))
    await writeFile(join(at, 'cgroup'), cgroup)
    await writeFile(join(at, 'net/fib_trie'), routes)
    await writeFile(join(at, 'net/if_inet6'), v6)
    // A name may hold blanks and brackets.
    await writeFile(join(at, 'stat'), `${pid} (a) b (c) S ${'0 '.repeat(18)}${start} 0 0`)
  }
  return folder
}

const HOST: Process = { pid: 1, netns: 1, trie: trie('10.0.0.5') }
const OTHER: Process = { pid: 20, netns: 3, cgroup: ELSEWHERE, trie: trie('10.0.0.8') }

const rows: readonly {
  readonly who: string
  readonly processes: readonly Process[]
  readonly ips?: readonly string[]
  readonly pid?: string
  readonly says?: RegExp
}[] = [
  { who: 'by its cgroup', processes: [{ pid: 10, netns: 2, cgroup: CGROUPFS }], pid: '10' },
  {
    who: 'by the cgroup of systemd',
    processes: [{ pid: 10, netns: 2, cgroup: SYSTEMD }],
    pid: '10',
  },
  {
    who: 'by its cgroup, whatever addresses others claim',
    processes: [
      { pid: 9, netns: 7, trie: trie('10.0.0.9') },
      { pid: 10, netns: 2, cgroup: CGROUPFS },
    ],
    pid: '10',
  },
  {
    who: 'the oldest process',
    processes: [
      { pid: 11, netns: 2, cgroup: CGROUPFS, start: 900 },
      { pid: 12, netns: 2, cgroup: CGROUPFS, start: 100 },
      { pid: 13, netns: 2, cgroup: '0::/x\n', start: 50 },
    ],
    pid: '13',
  },
  {
    who: 'not the namespace that a container made for itself',
    processes: [
      { pid: 10, netns: 2, cgroup: CGROUPFS, trie: trie('10.0.0.9') },
      { pid: 11, netns: 4, cgroup: CGROUPFS, trie: trie('192.168.0.1') },
    ],
    pid: '10',
  },
  {
    who: 'by its address',
    processes: [{ pid: 10, netns: 2, trie: trie('127.0.0.1', '10.0.0.9') }],
    pid: '10',
  },
  {
    who: 'by its IPv6 address',
    processes: [{ pid: 10, netns: 2, v6: V6 }],
    ips: ['fd00::a'],
    pid: '10',
  },
  {
    who: 'two have the address',
    processes: [
      { pid: 10, netns: 2, trie: trie('10.0.0.9') },
      { pid: 11, netns: 4, trie: trie('10.0.0.9') },
    ],
    says: /2 network namespaces of the node have 10\.0\.0\.9/,
  },
  {
    who: 'a prefix of the address is no address',
    processes: [{ pid: 10, netns: 2, trie: trie('10.0.0.90') }],
    says: /none has/,
  },
  {
    who: 'a route is no address',
    processes: [{ pid: 10, netns: 2, trie: trie() }],
    ips: ['10.9.9.9'],
    says: /none has/,
  },
  {
    who: 'no address is known',
    processes: [{ pid: 10, netns: 2, trie: trie('') }],
    ips: [],
    says: /none has an address/,
  },
  { who: 'the host itself is never a pod', processes: [], ips: ['10.0.0.5'], says: /none has/ },
  {
    who: 'the host itself, by cgroup',
    processes: [{ pid: 10, netns: 1, cgroup: CGROUPFS }],
    says: /no process/,
  },
]

t.test('which namespace is the pod’s', async (t) => {
  for (const { who, processes, ips = ['10.0.0.9'], pid, says } of rows) {
    await t.test(who, async (t) => {
      const folder = await proc(t, [HOST, OTHER, ...processes])
      const found = await findNetns(folder, { uid: UID, ips }, ['net:[1]'])
      if (says === undefined) t.equal(typeof found === 'string' ? found : found.pid, pid)
      else t.match(found, says)
    })
  }
})

t.test('real namespaces', need(kernelUnavailable()), async (t) => {
  const holder = spawn('unshare', [
    '--net',
    'sh',
    '-c',
    'ip link set lo up; ip addr add 10.77.0.9/32 dev lo; ip -6 addr add fd77::9/128 dev lo; echo up; exec sleep 60',
  ])
  t.teardown(() => holder.kill('SIGKILL'))
  await firstLine(holder)
  const netns = readlinkSync(`/proc/${holder.pid}/ns/net`)
  for (const ips of [['10.77.0.9'], ['fd77::9'], ['10.77.0.9', 'fd77::9']]) {
    const held = await holdNetns('/proc', { uid: UID, ips })
    if (typeof held === 'string') throw new Error(held)
    t.equal(readlinkSync(held.path), netns, ips.join())
    await held.release()
  }
  const held = await holdNetns('/proc', { uid: UID, ips: ['10.77.0.9'] })
  if (typeof held === 'string') throw new Error(held)
  holder.kill('SIGKILL')
  await new Promise((resolve) => holder.once('close', resolve))
  const { status, stdout } = spawnSync('nsenter', [
    `--net=${held.path}`,
    '--',
    'ip',
    '-o',
    'address',
  ])
  t.equal(status, 0, 'held, it outlives its processes')
  t.match(String(stdout), '10.77.0.9')
  await held.release()
  t.match(await holdNetns('/proc', { uid: UID, ips: ['10.77.0.9'] }), /no process of the node/)
  t.match(
    await holdNetns('/proc', { uid: UID, ips: ['127.0.0.1'] }).then((one) => typeof one),
    'string',
  )
})

function firstLine(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', resolve)
    child.once('exit', (code) => {
      reject(new Error(`ended with ${String(code)}`))
    })
  })
}
