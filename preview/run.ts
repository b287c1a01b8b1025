import type { InjectRequest } from '../core/inject/decision.ts'
import { visible } from '../core/problem.ts'
import { makeSpool, type Spool } from '../kube-inject/spool.ts'
import type { Flags } from './command.ts'
import { makeCompare, type Compared } from './compared.ts'
import { readSides } from './configs.ts'
import { compareManifests } from './manifests.ts'
import type { Reporter } from './reporter.ts'

/** The whole command. Throws a Refusal where a configuration or the workloads cannot be read. */
export async function preview(flags: Flags): Promise<{ readonly isChanged: boolean }> {
  const sides = await readSides(flags, process.env)
  for (const warning of new Set([...sides.now.config.warnings, ...sides.next.config.warnings])) {
    warn(warning)
  }
  const spool = makeSpool()
  try {
    const reporter = await reporterOf(flags, spool)
    let isChanged = false
    let unsent = 0
    const take = (compared: Compared): void => {
      const { kind } = compared.effect
      isChanged ||= kind !== 'same' && kind !== 'still-refused'
      reporter.take(compared)
    }
    const counted = (isSent: (request: InjectRequest) => boolean) => (request: InjectRequest) => {
      if (isSent(request)) return true
      unsent++
      return false
    }
    if (flags.live === true) {
      const { withCluster } = await import('./live.ts')
      await withCluster(flags, warn, ({ nodes, isSent, compareAll }) =>
        compareAll(makeCompare(flags, sides, { nodes, isSent: counted(isSent), take })),
      )
    } else {
      const isSent = () => true
      await compareManifests(flags.filename, makeCompare(flags, sides, { nodes: [], isSent, take }))
    }
    await reporter.finish(unsent)
    return { isChanged }
  } finally {
    spool.close()
  }
}

async function reporterOf(flags: Flags, spool: Spool): Promise<Reporter> {
  if (flags.diff === true) {
    return (await import('./show-diff.ts')).makeDiff(spool, process.stdout.isTTY, warn)
  }
  if (flags.output === 'json') return (await import('./show-json.ts')).makeJson(spool)
  return (await import('./show-human.ts')).makeHuman()
}

function warn(line: string): void {
  // Names come from manifests; what they hold must not steer a terminal.
  process.stderr.write(`${visible(line)}\n`)
}
