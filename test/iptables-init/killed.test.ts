/** SIGKILL in the middle of an apply: each table is wholly old or wholly new, and the next run converges. */
import t from 'tap'
import { need } from '../require.ts'
import { buildProgram, kernelUnavailable, makeLab, type Lab } from './lab.ts'
import { snapshot, type Snapshot } from './state.ts'

const isFull = process.env['REQUIRE'] === 'all'
const KILLS = isFull ? 50 : 4
const COMMON = ['-b', '*', '--dual-stack', '--reconcile']
const ONE = [...COMMON, '-i', '10.0.0.0/8,fd00::/8', '-d', '22,15090', '--drop-invalid']
const TWO = [...COMMON, '-i', '*', '-m', 'TPROXY', '--redirect-dns', '--capture-all-dns']

const backends = [
  { name: 'iptables-nft', flags: ['--force-iptables-binary', 'nft'] },
  { name: 'iptables-legacy', flags: ['--force-iptables-binary', 'legacy'] },
  { name: 'native nftables', flags: ['--native-nftables'] },
] as const

t.test(`killed at ${KILLS} moments`, need(kernelUnavailable()), async (t) => {
  if (!isFull) t.comment('50 moments run with REQUIRE=all')
  const program = await buildProgram()
  t.teardown(program.remove)
  for (const backend of backends) {
    t.test(backend.name, async (t) => {
      const lab = makeLab()
      t.teardown(lab.close)
      const apply = (flags: readonly string[]): number | null =>
        lab.run('pod', process.execPath, [program.path, ...flags, ...backend.flags]).code
      t.equal(apply(ONE), 0)
      const one = tables(snapshot(lab))
      const start = performance.now()
      t.equal(apply(TWO), 0)
      const usual = performance.now() - start
      const two = tables(snapshot(lab))
      t.not(JSON.stringify(one), JSON.stringify(two), 'the two differ')
      for (let kill = 0; kill < KILLS; kill++) {
        const [flags, old, next] = kill % 2 === 0 ? [ONE, two, one] : [TWO, one, two]
        // Most of a run is Node starting: the kills fall into its last two thirds.
        const moment = usual * (0.3 + (0.8 * ((kill * 7919) % 101)) / 101)
        await killAfter(lab, [program.path, ...flags, ...backend.flags], moment)
        const now = tables(snapshot(lab))
        const mixed = Object.keys({ ...old, ...next, ...now }).filter(
          (name) => now[name] !== old[name] && now[name] !== next[name],
        )
        t.strictSame(mixed, [], `after ${Math.round(moment)} ms every table is whole`)
        t.equal(apply(flags), 0, 'the next run converges')
        t.strictSame(tables(snapshot(lab)), next)
      }
    })
  }
})

/** Rules only; all of native nftables is one thing, since it is one transaction. */
function tables(state: Snapshot): Record<string, string> {
  return Object.fromEntries(Object.entries(state).filter(([name]) => /tables|nft/.test(name)))
}

/** Starts a run, kills it and all it started, and waits until they are gone. */
async function killAfter(lab: Lab, args: readonly string[], milliseconds: number): Promise<void> {
  const child = lab.start('pod', process.execPath, args)
  const ended = new Promise((resolve) => child.once('close', resolve))
  await new Promise((resolve) => setTimeout(resolve, milliseconds))
  if (child.pid !== undefined && child.exitCode === null) {
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // It ended by itself in the meantime.
    }
  }
  await ended
}
