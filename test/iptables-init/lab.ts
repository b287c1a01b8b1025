import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, chmodSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundle, BUNDLES } from '../../scripts/bundle.mjs'

/** Why kernel tests cannot run here; undefined when they can. */
export function kernelUnavailable(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root: network namespaces and iptables'
  for (const tool of [
    'ip',
    'nsenter',
    'setpriv',
    'iptables-nft',
    'iptables-legacy',
    'nft',
    'conntrack',
  ]) {
    if (spawnSync(tool, ['--version']).error !== undefined) {
      return `needs ${tool}: apt-get install iptables nftables iproute2 conntrack util-linux`
    }
  }
  const name = `ipt-try-${process.pid}`
  if (spawnSync('ip', ['netns', 'add', name]).status !== 0) return 'needs network namespaces'
  spawnSync('ip', ['netns', 'del', name])
  return undefined
}

/** The program as an init container runs it: one bundled file that any user may read. */
export async function buildProgram(): Promise<{
  readonly path: string
  readonly remove: () => void
}> {
  const folder = mkdtempSync(join(tmpdir(), 'ipt-'))
  chmodSync(folder, 0o755)
  const [[entry, , lazy]] = BUNDLES
  const root = join(import.meta.dirname, '../..')
  await bundle(root, entry, join(folder, 'istio-iptables.cjs'), lazy)
  return {
    path: join(folder, 'istio-iptables.cjs'),
    remove: () => {
      rmSync(folder, { recursive: true })
    },
  }
}

/** What a program answered. */
export type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

/** Two namespaces: `pod`, and `world` behind its interface eth0 (and eth1). Addresses below. */
export type Lab = {
  readonly pod: string
  readonly world: string
  readonly run: (
    place: 'pod' | 'world',
    file: string,
    args: readonly string[],
    more?: RunMore,
  ) => Ran
  readonly start: (
    place: 'pod' | 'world',
    file: string,
    args: readonly string[],
    more?: RunMore,
  ) => ChildProcess
  readonly close: () => void
}

/** What a run may be given besides its arguments. */
export type RunMore = {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
  readonly uid?: number
  readonly gid?: number
}

/** Addresses of the lab. The world has two hosts, `near` and `excluded`, and a second way to the pod. */
export const AT = {
  v4: {
    pod: '10.250.2.19',
    gate: '10.250.2.1',
    near: '10.250.3.4',
    excluded: '10.250.3.5',
    pod1: '10.250.4.19',
  },
  v6: {
    pod: 'fd25:2::19',
    gate: 'fd25:2::1',
    near: 'fd25:3::4',
    excluded: 'fd25:3::5',
    pod1: 'fd25:4::19',
  },
} as const

let labs = 0

/** Makes a lab with fresh namespaces. Whoever makes one closes it. */
export function makeLab(): Lab {
  const id = `${process.pid}-${labs++}`
  const pod = `ipt-p-${id}`
  const world = `ipt-w-${id}`
  const lock = join(tmpdir(), `ipt-lock-${id}`)
  const ip = (...args: readonly string[]): void => {
    const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
    if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
  }
  const batch = (namespace: string, lines: readonly string[]): void => {
    const input = lines.join('\n')
    const { status, stderr } = spawnSync('ip', ['-n', namespace, '-batch', '-'], {
      input,
      encoding: 'utf8',
    })
    if (status !== 0) throw new Error(`ip -batch in ${namespace}: ${stderr}`)
  }
  ip('netns', 'add', pod)
  ip('netns', 'add', world)
  batch(pod, [
    'link set lo up',
    ...['eth0', 'eth1'].map(
      (name) => `link add ${name} type veth peer name ${name} netns ${world}`,
    ),
    'address add 10.250.2.19/24 dev eth0',
    'address add fd25:2::19/64 dev eth0 nodad',
    'address add 10.250.4.19/24 dev eth1',
    'address add fd25:4::19/64 dev eth1 nodad',
    'link set eth0 up',
    'link set eth1 up',
    'route add default via 10.250.2.1',
    'route add default via fd25:2::1',
  ])
  batch(world, [
    'link set lo up',
    ...['3.4', '3.5'].map((end) => `address add 10.250.${end}/32 dev lo`),
    ...['3::4', '3::5'].map((end) => `address add fd25:${end}/128 dev lo`),
    'address add 10.250.2.1/24 dev eth0',
    'address add fd25:2::1/64 dev eth0 nodad',
    'address add 10.250.4.1/24 dev eth1',
    'address add fd25:4::1/64 dev eth1 nodad',
    'link set eth0 up',
    'link set eth1 up',
  ])
  const places = makePlaces(pod, world, lock)
  return {
    ...places,
    close: () => {
      places.stop()
      for (const name of [pod, world]) spawnSync('ip', ['netns', 'del', name])
      rmSync(lock, { force: true })
    },
  }
}

/** Runs programs in two namespaces that are there; `lock` stands for the lock of the legacy backend. */
export function makePlaces(
  pod: string,
  world: string,
  lock: string,
): Omit<Lab, 'close'> & { readonly stop: () => void } {
  const children: ChildProcess[] = []
  const words = (
    place: 'pod' | 'world',
    file: string,
    args: readonly string[],
    more: RunMore,
  ): string[] => [
    `--net=/run/netns/${place === 'pod' ? pod : world}`,
    '--',
    ...(more.uid === undefined ? [] : asUser(more.uid, more.gid ?? more.uid)),
    file,
    ...args,
  ]
  const env = (more: RunMore): NodeJS.ProcessEnv => {
    return { PATH: process.env['PATH'] ?? '', XTABLES_LOCKFILE: lock, ...more.env }
  }
  return {
    pod,
    world,
    run: (place, file, args, more = {}) => {
      const ran = spawnSync('nsenter', words(place, file, args, more), {
        encoding: 'utf8',
        input: more.input ?? '',
        env: env(more),
        timeout: 60_000,
      })
      return { code: ran.status, stdout: ran.stdout, stderr: ran.stderr }
    },
    start: (place, file, args, more = {}) => {
      const child = spawn('nsenter', words(place, file, args, more), {
        env: env(more),
        detached: true,
      })
      children.push(child)
      return child
    },
    stop: () => {
      for (const child of children) if (child.exitCode === null) child.kill('SIGKILL')
    },
  }
}

function asUser(uid: number, gid: number): string[] {
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--']
}

/** The first line that a program prints, or its end. */
export async function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout?.on('data', (data: Buffer) => {
      text += data.toString()
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')))
    })
    child.on('close', () => {
      reject(new Error(`ended before it was ready: ${text}`))
    })
  })
}
