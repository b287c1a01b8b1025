/** The long-running installer: servers, a first pass, the loop, and the farewell. */
import { join } from 'node:path'
import type { Registry } from 'prom-client'
import type { Api } from '../../cluster/api.ts'
import { formatProblem, Refusal, type Read } from '../../core/problem.ts'
import { ensureAttachment } from './attachment.ts'
import { makeBinary } from './binary.ts'
import { cleanNode } from './clean.ts'
import { openApi } from './cluster.ts'
import { decideFarewell } from './farewell.ts'
import { removeDrafts } from './files.ts'
import { makeKubeconfigs } from './kubeconfig.ts'
import { LOG_SOCKET, openLogSocket, type LogSocket } from './log-socket.ts'
import { reasonOf, type Log } from './log.ts'
import { LOOP_TIMING, startLoop, type Loop, type LoopTiming, type NodeState } from './loop.ts'
import { makeMetrics } from './metrics.ts'
import { makePass, type Passed } from './pass.ts'
import { findPlace } from './place.ts'
import { serveHealth, serveMetrics, type Serving } from './servers.ts'
import type { Settings } from './settings.ts'
import { makeWanted } from './wanted.ts'
import { makeWatcher } from './watcher.ts'

/** What repair, which runs in this process, is given. */
export type RepairParts = {
  readonly settings: Settings
  readonly env: Readonly<Record<string, string | undefined>>
  readonly api: Api
  readonly registry: Registry
  readonly log: Log
}

/** A controller that runs beside the installer until it is closed. */
export type Repair = { readonly close: () => Promise<void> }

/** What the installer is made of besides its settings. */
export type InstallerParts = {
  readonly log: Log
  /** Writes finished log lines: those of the plugin. */
  readonly write: (line: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
  /** Starts repair; undefined where it is switched off. */
  readonly startRepair?: (parts: RepairParts) => Promise<Repair | undefined>
  readonly timing?: LoopTiming
}

/** An installer that runs. */
export type Running = {
  readonly healthPort: number
  readonly monitoringPort: number
  readonly state: () => NodeState
  /** Ends it. Cleans the node where this is an uninstall; answers the exit status. */
  readonly stop: (signal: string) => Promise<number>
}

/** Ends one thing that was started. */
type Closer = () => Promise<void> | void

/** Starts everything. Throws where the first pass fails: the pod is started again, with a message. */
export async function startInstaller(settings: Settings, parts: InstallerParts): Promise<Running> {
  const { log } = parts
  const closers: Closer[] = []
  const closeAll = async (): Promise<void> => {
    for (const close of closers.reverse()) await close()
    closers.length = 0
  }
  try {
    return await start(settings, parts, closers, closeAll)
  } catch (error) {
    await closeAll().catch((failure: unknown) => {
      log('warn', 'closing', { reason: reasonOf(failure) })
    })
    throw error
  }
}

async function start(
  settings: Settings,
  parts: InstallerParts,
  closers: Closer[],
  closeAll: () => Promise<void>,
): Promise<Running> {
  const { log } = parts
  const metrics = makeMetrics()
  let state: NodeState = { isReady: false, detail: 'the first pass is not done' }
  const onState = (next: NodeState): void => {
    state = next
    metrics.ready(next.isReady)
  }
  const keep = (read: Read<Serving>): Serving => {
    if (!read.ok) throw new Refusal(read.problems)
    closers.push(read.value.close)
    return read.value
  }
  const health = keep(await serveHealth(settings.healthPort, () => state))
  const monitoring = keep(await serveMetrics(settings.monitoringPort, metrics.registry))
  const socket = await openSocket(settings, parts, metrics.pluginRan)
  if (socket !== undefined) closers.push(socket.close)
  const ports = { healthPort: health.port, monitoringPort: monitoring.port }
  log('info', 'listening', ports)

  const api = await openApi(settings)
  if (api !== undefined) {
    closers.push(() => {
      api.close()
    })
  }
  const repair = await startRepair(settings, parts, api, metrics.registry)
  if (repair !== undefined) closers.push(repair.close)

  const place = await findPlace(settings)
  log('info', 'directories', place)
  for (const folder of [place.netDir, place.binDir, settings.kubeconfigDir])
    await removeDrafts(folder)
  const binary = makeBinary(settings.binarySource, join(place.binDir, settings.pluginName))
  const kubeconfigs = makeKubeconfigs(settings, api, log)
  const wanted = makeWanted(settings, place, api, log)
  const pass = makePass({ settings, place, binary, kubeconfigs, wanted, log })

  const running: { loop?: Loop } = {}
  const watcher = makeWatcher(
    [
      { folder: place.netDir },
      { folder: place.binDir, file: settings.pluginName },
      { folder: settings.serviceAccountDir },
      { folder: settings.runDir, file: LOG_SOCKET },
    ],
    () => {
      running.loop?.nudge()
    },
  )
  closers.push(watcher.close)
  // Before the first look: what changes while we look must not be missed.
  await watcher.renew()
  const first = await firstPass(pass.run, metrics.passed)
  await attach(settings, api, log)
  const loop = startLoop(
    {
      pass,
      log,
      timing: parts.timing ?? LOOP_TIMING,
      onState,
      onPass: metrics.passed,
      beforeLook: async () => {
        await watcher.renew()
        await socket?.renew().catch(() => undefined)
      },
    },
    first,
  )
  running.loop = loop
  // What came between the first look and now.
  loop.nudge()
  return {
    ...ports,
    state: () => state,
    stop: async (signal) => {
      onState({ isReady: false, detail: 'stopping' })
      await loop.close()
      const farewell = await decideFarewell(settings, api)
      log('info', 'stopping', { signal, ...farewell })
      const failures =
        farewell.kind === 'clean' ? await cleanNode({ settings, place, binary, log }) : []
      await closeAll()
      return failures.length === 0 ? 0 : 1
    },
  }
}

async function firstPass(
  run: () => Promise<Passed>,
  passed: (outcome: Passed | Error) => void,
): Promise<Passed> {
  try {
    const first = await run()
    passed(first)
    return first
  } catch (error) {
    passed(error instanceof Error ? error : new Error(reasonOf(error)))
    throw error
  }
}

/** A node whose run directory cannot be written has other worries; it gets its plugin all the same. */
async function openSocket(
  settings: Settings,
  { log, write }: InstallerParts,
  pluginRan: (run: { readonly command: string; readonly result: string }) => void,
): Promise<LogSocket | undefined> {
  try {
    return await openLogSocket(settings.runDir, { write, pluginRan })
  } catch (error) {
    log('warn', 'the plugin’s log is not collected', { reason: reasonOf(error) })
    return undefined
  }
}

async function startRepair(
  settings: Settings,
  { startRepair: begin, log, env }: InstallerParts,
  api: Api | undefined,
  registry: Registry,
): Promise<Repair | undefined> {
  if (begin === undefined || api === undefined) return undefined
  return begin({ settings, env, api, registry, log })
}

async function attach(settings: Settings, api: Api | undefined, log: Log): Promise<void> {
  const { networkAttachment: wanted } = settings
  if (wanted === undefined || api === undefined) return
  try {
    const answer = await ensureAttachment(api, wanted)
    log('info', 'NetworkAttachmentDefinition', { ...wanted, answer })
  } catch (error) {
    // Pods that name it do not start without it; the next start tries again, and an administrator may.
    log('error', 'NetworkAttachmentDefinition', { ...wanted, reason: reasonOf(error) })
  }
}

/** What a Refusal or another error says, a line each. */
export function printFailure(error: unknown): readonly string[] {
  return error instanceof Refusal ? error.problems.map(formatProblem) : [reasonOf(error)]
}
