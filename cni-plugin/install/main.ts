/** The program `install-cni`: keeps the CNI plugin on a node. */
import { join } from 'node:path'
import { formatProblem } from '../../core/problem.ts'
import { makeBinary } from './binary.ts'
import { printChange } from './change.ts'
import { cleanNode, planLeaving } from './clean.ts'
import { detect } from './detect.ts'
import { makeLog, type Log } from './log.ts'
import { openApi } from './cluster.ts'
import { printHelp } from './page.ts'
import { makePass } from './pass.ts'
import { findPlace } from './place.ts'
import { printFailure, startInstaller, type InstallerParts, type Running } from './run.ts'
import { readSettings, type Given, type Settings } from './settings.ts'
import { makeWanted } from './wanted.ts'

/** What the program has besides its words: where it writes, how it is told to end, and repair. */
export type World = Pick<InstallerParts, 'startRepair' | 'timing'> & {
  readonly out: (text: string) => void
  /** Gets finished lines, each with its newline. */
  readonly logLine: (line: string) => void
  /** Resolves with the name of the signal that ends the process. */
  readonly ended: Promise<string>
}

/** Exit statuses. */
const EXIT = { done: 0, failed: 1, usage: 2 } as const

/** Runs one command line and answers its exit status. */
export async function main(given: Given, world: World): Promise<number> {
  const read = readSettings(given)
  if (!read.ok) {
    for (const problem of read.problems) world.logLine(`error: ${formatProblem(problem)}\n`)
    return EXIT.usage
  }
  const settings = read.value
  const log = makeLog(settings.logLevel, world.logLine)
  try {
    return await work(settings, given, world, log)
  } catch (error) {
    for (const reason of printFailure(error)) log('error', 'install-cni ends', { reason })
    return EXIT.failed
  }
}

async function work(settings: Settings, given: Given, world: World, log: Log): Promise<number> {
  switch (settings.command) {
    case 'help':
      world.out(printHelp())
      return EXIT.done
    case 'detect':
      world.out(`${JSON.stringify(await detect(settings.hostRoot), null, 2)}\n`)
      return EXIT.done
    case 'uninstall':
      return uninstall(settings, world, log)
    case 'install':
      return settings.isDryRun ? dryRun(settings, world, log) : install(settings, given, world, log)
  }
}

async function install(settings: Settings, given: Given, world: World, log: Log): Promise<number> {
  const { startRepair, timing, logLine: write } = world
  const running: Running = await startInstaller(settings, {
    log,
    write,
    env: given.env,
    ...(startRepair === undefined ? {} : { startRepair }),
    ...(timing === undefined ? {} : { timing }),
  })
  return running.stop(await world.ended)
}

async function uninstall(settings: Settings, world: World, log: Log): Promise<number> {
  const place = await findPlace(settings)
  const binary = makeBinary(settings.binarySource, join(place.binDir, settings.pluginName))
  const parts = { settings, place, binary, log }
  if (settings.isDryRun) {
    const changes = await planLeaving(parts)
    world.out(changes.map((change) => `${printChange(change)}\n`).join(''))
    return EXIT.done
  }
  const failures = await cleanNode(parts)
  return failures.length === 0 ? EXIT.done : EXIT.failed
}

/** Prints each change and, for a file, its new text; files with secrets are only named. */
async function dryRun(settings: Settings, world: World, log: Log): Promise<number> {
  const place = await findPlace(settings)
  const api = await openApi(settings)
  const binary = makeBinary(settings.binarySource, join(place.binDir, settings.pluginName))
  // A dry run asks for no token, which would be a change too.
  const kubeconfigs = { text: () => Promise.resolve('') }
  const wanted = makeWanted(settings, place, api, log)
  const plan = await makePass({ settings, place, binary, kubeconfigs, wanted, log }).plan()
  api?.close()
  for (const change of plan.changes) {
    world.out(`${printChange(change)}\n`)
    if (change.do === 'write' && change.isSecret !== true) world.out(change.text)
  }
  if (plan.waitsFor !== undefined) world.out(`waits for ${plan.waitsFor}\n`)
  if (plan.changes.length === 0 && plan.waitsFor === undefined) world.out('nothing to change\n')
  return EXIT.done
}
