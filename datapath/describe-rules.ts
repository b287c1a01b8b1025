/** The rules in a network namespace, of every engine. Reads only: nothing that is run here makes a table. */
import type { Family } from '../core/cidrs.ts'
import type { Engine, Standing, Unseen } from '../core/describe/seen.ts'
import { formatProblem } from '../core/problem.ts'
import { foreignTables } from '../core/rules/foreign-nft.ts'
import { readRestore } from '../core/rules/read-iptables.ts'
import { readNft } from '../core/rules/read-nft.ts'
import type { Run } from '../iptables-init/run.ts'
import { findProgram, legacyIsEmpty, NO_NFT } from '../iptables-init/tools.ts'

/** Rules, or why they cannot be seen. */
export type RulesSeen = {
  readonly standings: readonly Standing[]
  readonly unseen: readonly Unseen[]
}

/** Reads native nftables, then iptables in both backends, in the order in which the kernel asks them. */
export async function seeRules(run: Run, path: string | undefined): Promise<RulesSeen> {
  const parts = await Promise.all([
    seeNative(run, path),
    ...(['nft', 'legacy'] as const).flatMap((backend) =>
      FAMILIES.map((family) => seeIptables(run, path, backend, family)),
    ),
  ])
  return {
    standings: parts.flatMap(({ standings }) => standings),
    unseen: parts.flatMap(({ unseen }) => unseen),
  }
}

const FAMILIES: readonly Family[] = ['v4', 'v6']

const NOTHING: RulesSeen = { standings: [], unseen: [] }

async function seeNative(run: Run, path: string | undefined): Promise<RulesSeen> {
  const nft = findProgram('nft', path)
  const hidden = (why: string): RulesSeen => notSeen(`native nftables: ${why}`, FAMILIES)
  if (nft === undefined) return hidden('nft is not in PATH')
  const { code, stdout, stderr } = await run(nft, ['list', 'ruleset'])
  if (code !== 0) return hidden(`nft list ruleset failed with ${code}: ${stderr.trim()}`)
  const read = readNft(stdout)
  if (!read.ok) return hidden(read.problems.map(formatProblem).join('; '))
  const others = foreignTables(stdout).map((table): Unseen => {
    const says = `native nftables: ${table} is not a sidecar's, and what it does was not judged`
    return { says, families: [] }
  })
  return {
    standings: [{ engine: 'native nft', families: FAMILIES, rules: read.value }],
    unseen: others,
  }
}

function notSeen(says: string, families: readonly Family[]): RulesSeen {
  return { standings: [], unseen: [{ says, families }] }
}

async function seeIptables(
  run: Run,
  path: string | undefined,
  backend: 'nft' | 'legacy',
  family: Family,
): Promise<RulesSeen> {
  const name = family === 'v4' ? 'iptables' : 'ip6tables'
  const save = findProgram(`${name}-${backend}-save`, path)
  // Asking for a legacy table makes it: the kernel's own list is read first.
  if (backend === 'legacy' && (await legacyIsEmpty(run, family, false))) return NOTHING
  if (save !== undefined) return saved(run, save, `iptables-${backend}`, family)
  const plain = findProgram(`${name}-save`, path)
  const why = backend === 'legacy' ? 'the kernel lists tables, and ' : ''
  const says = `${name}-${backend}: ${why}${name}-${backend}-save is not in PATH`
  if (plain === undefined) return notSeen(says, [family])
  // The plain name is that of either backend.
  const isLegacy = await isOfLegacy(run, plain)
  if (backend === 'nft') return isLegacy ? NOTHING : saved(run, plain, 'iptables', family)
  return isLegacy ? saved(run, plain, 'iptables-legacy', family) : notSeen(says, [family])
}

async function isOfLegacy(run: Run, save: string): Promise<boolean> {
  return (await run(save, ['--version'])).stdout.includes('(legacy)')
}

async function saved(run: Run, save: string, engine: Engine, family: Family): Promise<RulesSeen> {
  const hidden = (why: string): RulesSeen => notSeen(`${engine}: ${why}`, [family])
  const { code, stdout, stderr } = await run(save, ['-c'])
  if (code !== 0) {
    return NO_NFT.test(stderr) ? NOTHING : hidden(`${save} failed with ${code}: ${stderr.trim()}`)
  }
  const read = readRestore(stdout)
  return read.ok
    ? { standings: [{ engine, families: [family], rules: read.value }], unseen: [] }
    : hidden(read.problems.map(formatProblem).join('; '))
}
