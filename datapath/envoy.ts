import { accessSync, chmodSync, constants, copyFileSync, linkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '../core/json.ts'
import { findProgram } from '../iptables-init/tools.ts'
import type { Lab, Started, Who } from './lab.ts'
import { untilListening } from './listening.ts'

/** The Envoy to start: the one that is named, the one in ENVOY, or the first in PATH. */
export function findEnvoy(named: string | undefined): string | undefined {
  const given = named ?? process.env['ENVOY']
  if (given === undefined || given === '') return findProgram('envoy', process.env['PATH'])
  try {
    accessSync(given, constants.X_OK)
    return given
  } catch {
    return undefined
  }
}

/**
 * Makes an executable one that every user of the lab can start: its own folder may be closed to them. A
 * link where the file system allows, a copy elsewhere.
 */
export function lend(lab: Lab, file: string, name: string): string {
  const here = join(lab.folder, name)
  try {
    linkSync(file, here)
  } catch {
    copyFileSync(file, here)
    chmodSync(here, 0o755)
  }
  return here
}

/** What Envoy starts with. */
type Start = {
  readonly bootstrap: JsonObject
  /** Ports that it will listen on. */
  readonly ports: readonly number[]
  /** Most files that it may open; the machine's limit where absent. */
  readonly mostFiles?: number
}

/** Starts Envoy in the pod with a configuration and waits until it listens. */
export async function startEnvoy(
  lab: Lab,
  binary: string,
  who: Who,
  { bootstrap, ports, mostFiles }: Start,
): Promise<Started> {
  const config = join(lab.folder, 'envoy.json')
  writeFileSync(config, JSON.stringify(bootstrap))
  const words = [
    ...['-c', config],
    ...['--concurrency', '1'],
    ...['--log-level', 'warning'],
    // Two Envoys would meet in the shared memory that a hot restart uses.
    '--disable-hot-restart',
    // The log is read right after the request.
    ...['--file-flush-interval-msec', '20'],
  ]
  const limited = [
    'prlimit',
    [`--nofile=${mostFiles}:${mostFiles}`, '--', binary, ...words],
  ] as const
  const [file, args] = mostFiles === undefined ? [binary, words] : limited
  const started = lab.start('pod', who, 'envoy', file, args)
  await untilListening('envoy', started, ports)
  return started
}
