/**
 * A private place for a node: mount, network, process and IPC namespaces of one test file. Whatever runs in it ends
 * with it, and whatever it wrote was in its own memory, however the test ends.
 */
import { execa } from 'execa'
import { mkdir } from 'node:fs/promises'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Test } from 'tap'

/** Where everything of the place is written; it is gone with the place. */
export const PLACE = '/run/place'

const NEEDED = [
  'containerd',
  'containerd-shim-runc-v2',
  'ctr',
  'cri',
  'stand-in',
  'bridge',
] as const

/** Folder of the programs that scripts/test-tools.mjs builds. */
export function assets(): string {
  return process.env['KUBEBUILDER_ASSETS'] ?? ''
}

/** Why this machine can run no container, `undefined` when it can. */
export function runtimeUnavailable(more: readonly string[] = []): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root: namespaces and containers'
  if (assets() === '')
    return 'KUBEBUILDER_ASSETS is not set; node scripts/test-tools.mjs builds them'
  const missing = [...NEEDED, ...more].filter((name) => !existsSync(join(assets(), name)))
  if (missing.length > 0) return `KUBEBUILDER_ASSETS=${assets()} lacks ${missing.join(', ')}`
  for (const tool of ['crun', 'ip', 'nsenter', 'iptables', 'tar', 'unshare', 'setpriv']) {
    if (spawnSync(tool, ['--version']).error !== undefined)
      return `needs ${tool}: apt-get install crun iproute2 iptables util-linux`
  }
  return undefined
}

/** The program and its arguments that run a test file, which calls `settle` first, in a private place. */
export function privately(file: string): readonly [file: string, args: readonly string[]] {
  const namespaces = ['--mount', '--net', '--pid', '--ipc', '--propagation', 'private']
  return [
    'setpriv',
    [
      // Should the caller be killed, the kernel kills unshare, and then everything inside.
      ...['--pdeathsig', 'SIGKILL', '--', 'unshare', ...namespaces],
      ...['--fork', '--kill-child', '--mount-proc', '--'],
      ...[process.execPath, ...process.execArgv, file],
    ],
  ]
}

/** Runs a test file in a private place, as a subtest. */
export async function spawnPrivately(
  t: Test,
  file: string,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const [program, args] = privately(file)
  await t.spawn(program, [...args], { env: { ...process.env, ...env } }, basename(file))
}

/** Furnishes the place: memory where the host has disks, so that nothing is left on them. */
export async function settle(): Promise<void> {
  await execa('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'place', '/run'])
  await mkdir(PLACE)
  // What the CNI library and others keep below /var/lib.
  const [upper, work] = [`${PLACE}/var-lib`, `${PLACE}/var-lib-work`]
  await Promise.all([mkdir(upper), mkdir(work), mkdir('/run/netns')])
  const layers = `lowerdir=/var/lib,upperdir=${upper},workdir=${work}`
  await execa('mount', ['-t', 'overlay', '-o', layers, 'overlay', '/var/lib'])
  // Where old and new control groups are both mounted, a runtime may refuse to choose.
  await execa('umount', ['/sys/fs/cgroup/unified'], { reject: false })
  await execa('ip', ['link', 'set', 'lo', 'up'])
  process.env['TMPDIR'] = PLACE
}
