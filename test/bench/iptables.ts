/**
 * Wall time of whole runs of `istio-iptables`, first apply and identical second run, as a ratio to a floor:
 * two bare restore commands plus an empty Node start. All are measured in the same rounds, in fresh
 * network namespaces, and the median of the paired ratios is reported; nothing is asserted.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const FLAGS = [
  ...['-p', '15001', '-z', '15006', '-u', '1337', '-m', 'REDIRECT', '-i', '*', '-x', '', '-b', '*'],
  ...['-d', '15090,15021,15020', '--dual-stack'],
]

type Round = { readonly floor: number; readonly first: number; readonly second: number }

/** Prints the figures; needs root for its namespaces. */
export async function run(): Promise<void> {
  if (process.getuid?.() !== 0) {
    process.stdout.write('  left out: needs root for network namespaces\n')
    return
  }
  const rounds = 11
  const program = join(process.cwd(), 'dist/istio-iptables.cjs')
  for (const backend of ['nft', 'legacy', 'native'] as const) {
    const measured = Array.from({ length: rounds }, (_, round) => measure(program, backend, round))
    const line = [
      backend.padEnd(7),
      `floor ${median(measured.map((one) => one.floor)).toFixed(0)} ms`,
      `first ${median(measured.map((one) => one.first)).toFixed(0)} ms`,
      `second ${median(measured.map((one) => one.second)).toFixed(0)} ms`,
      `ratio first ${median(measured.map((one) => one.first / one.floor)).toFixed(2)}`,
      `ratio second ${median(measured.map((one) => one.second / one.floor)).toFixed(2)}`,
    ]
    process.stdout.write(`  ${line.join('  ')}\n`)
  }
}

function measure(program: string, backend: 'nft' | 'legacy' | 'native', round: number): Round {
  const own = backend === 'native' ? ['--native-nftables'] : ['--force-iptables-binary', backend]
  const flags = backend === 'nft' ? FLAGS : [...FLAGS, ...own]
  const texts = restoreTexts(program)
  const name = (part: string): string => `ipb-${process.pid}-${round}-${part}`
  const [floorPlace, place] = [name('f'), name('r')]
  try {
    for (const one of [floorPlace, place]) makeNamespace(one)
    const inside = (file: string, args: readonly string[], input = ''): number =>
      time('nsenter', [`--net=/run/netns/${place}`, '--', file, ...args], input)
    const bare = (file: string, input: string): number =>
      time('nsenter', [`--net=/run/netns/${floorPlace}`, '--', file, '--noflush'], input)
    const kind = backend === 'legacy' ? 'legacy' : 'nft'
    const floor =
      bare(`iptables-${kind}-restore`, texts.v4) +
      bare(`ip6tables-${kind}-restore`, texts.v6) +
      time('nsenter', [`--net=/run/netns/${floorPlace}`, '--', process.execPath, '-e', '0'])
    const first = inside(process.execPath, [program, ...flags])
    const second = inside(process.execPath, [program, ...flags])
    return { floor, first, second }
  } finally {
    for (const one of [floorPlace, place]) spawnSync('ip', ['netns', 'del', one])
  }
}

function makeNamespace(name: string): void {
  const ip = (...args: readonly string[]): void => {
    const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
    if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
  }
  ip('netns', 'add', name)
  ip('-n', name, 'link', 'set', 'lo', 'up')
  ip('-n', name, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'peer')
  ip('-n', name, 'address', 'add', '10.244.0.7/24', 'dev', 'eth0')
  ip('-n', name, '-6', 'address', 'add', 'fd00:10:244::7/64', 'dev', 'eth0', 'nodad')
  ip('-n', name, 'link', 'set', 'peer', 'up')
  ip('-n', name, 'link', 'set', 'eth0', 'up')
}

function restoreTexts(program: string): { readonly v4: string; readonly v6: string } {
  const facts = join(process.cwd(), 'test/bench/host-facts.json')
  const args = [program, ...FLAGS, '--dry-run', '--output', 'json', '--host-facts', facts]
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout) as { v4: string; v6: string }
}

function time(file: string, args: readonly string[], input = ''): number {
  const start = performance.now()
  const { status, stderr } = spawnSync(file, args, { input, encoding: 'utf8' })
  const end = performance.now()
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${stderr}`)
  return end - start
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? NaN
}
