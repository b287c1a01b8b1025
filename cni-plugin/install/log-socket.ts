/** Takes the log lines of the plugin, which runs for moments and has no log that people find. */
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { chmod, mkdir, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { isArray, isObject, type JsonObject } from '../../core/json.ts'
import { printLine } from './log.ts'
import type { PluginRun } from './metrics.ts'

/** Who is told of what comes. */
export type LogSink = {
  /** Writes one finished line. */
  readonly write: (line: string) => void
  readonly pluginRan: (run: PluginRun) => void
}

/** A socket that takes lines. */
export type LogSocket = {
  /** Makes it again where somebody removed it. */
  readonly renew: () => Promise<void>
  readonly close: () => Promise<void>
}

/** Bounds of one batch: any process of the node may write to the socket. */
const LARGEST_BATCH = 1 << 20
const MOST_LINES = 1000
const LONGEST_LINE = 16 << 10
const MOST_CONNECTIONS = 64
const BATCH_MS = 5_000

/** Name of the socket in the run directory. */
export const LOG_SOCKET = 'log.sock'

/** `POST /log` with a JSON array of texts, each a JSON object: the protocol of Istio's agent. */
export async function openLogSocket(runDir: string, sink: LogSink): Promise<LogSocket> {
  const path = join(runDir, LOG_SOCKET)
  let own = await bind(runDir, path, sink)
  return {
    renew: async () => {
      if ((await inodeOf(path)) !== undefined) return
      own.server.close()
      own = await bind(runDir, path, sink)
    },
    close: async () => {
      // A successor may have put its own there already.
      if ((await inodeOf(path)) === own.inode) await unlink(path).catch(() => undefined)
      await new Promise((resolve) => {
        own.server.close(resolve)
        own.server.closeAllConnections()
      })
    },
  }
}

type Bound = { readonly server: Server; readonly inode: number | undefined }

/** Bound under a name of its own and renamed: a stale socket is replaced at once, and never removed by its owner's end. */
async function bind(runDir: string, path: string, sink: LogSink): Promise<Bound> {
  await mkdir(runDir, { recursive: true, mode: 0o750 })
  const server = createServer({ requestTimeout: BATCH_MS }, (request, response) => {
    const isLog = request.method === 'POST' && request.url === '/log'
    const taken = isLog ? take(request, sink) : Promise.resolve(404)
    taken.then(
      (status) => {
        response.writeHead(status, { connection: 'close' }).end()
      },
      () => {
        response.destroy()
      },
    )
  })
  server.maxConnections = MOST_CONNECTIONS
  const draft = join(runDir, `.log.${randomBytes(4).toString('hex')}`)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(draft, resolve)
  })
  // Plugins run as root on the host, but in a container of their own making they may not.
  await chmod(draft, 0o666)
  await rename(draft, path)
  return { server, inode: await inodeOf(path) }
}

/** Writes the lines of one batch together and answers the status. */
async function take(request: IncomingMessage, sink: LogSink): Promise<number> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of request) {
    const bytes = Buffer.isBuffer(piece) ? piece : Buffer.from(String(piece))
    size += bytes.length
    if (size > LARGEST_BATCH) return 413
    pieces.push(bytes)
  }
  const lines = readBatch(Buffer.concat(pieces).toString('utf8'))
  if (lines === undefined) return 400
  sink.write(lines.map(printed).join(''))
  for (const line of lines) {
    const run = readRun(line)
    if (run !== undefined) sink.pluginRan(run)
  }
  return 200
}

/** The lines of a batch; undefined where it is none. A line that is no object is kept as a text. */
function readBatch(text: string): readonly JsonObject[] | undefined {
  const batch = parsed(text)
  if (!isArray(batch) || batch.length > MOST_LINES) return undefined
  return batch.flatMap((line) => {
    if (typeof line !== 'string') return []
    const fields = line.length > LONGEST_LINE ? undefined : parsed(line)
    return [isObject(fields) ? fields : { level: 'info', msg: line.slice(0, LONGEST_LINE) }]
  })
}

/** The line with its scope; `level` and `time` stay where they are used to be. */
function printed(fields: JsonObject): string {
  const { level, time, ...rest } = fields
  const head = {
    level: typeof level === 'string' ? level : 'info',
    time: typeof time === 'string' ? time : new Date().toISOString(),
    scope: 'cni-plugin',
  }
  return printLine({ ...head, ...rest, scope: 'cni-plugin' })
}

const COMMANDS: readonly string[] = ['ADD', 'CHECK', 'DEL', 'STATUS', 'GC', 'VERSION']
/** What a run came to, by the label `decision` of its line; a line with `failed` is that of a failure. */
const RESULTS = new Map<unknown, string>([
  ['apply', 'applied'],
  ['skip', 'skipped'],
])

/** What a run came to, where a line says so; labels of a metric are a closed set. */
function readRun({ command, decision, failed }: JsonObject): PluginRun | undefined {
  if (typeof command !== 'string' || !COMMANDS.includes(command)) return undefined
  const result = typeof failed === 'string' ? 'failed' : RESULTS.get(decision)
  return result === undefined ? undefined : { command, result }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function inodeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (at) => at.ino,
    () => undefined,
  )
}
