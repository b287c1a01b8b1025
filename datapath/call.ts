import { isObject, type JsonObject } from '../core/json.ts'
import { readYaml } from '../core/yaml.ts'
import type { Lab, Place, Talker, Who } from './lab.ts'
import { CALLER } from './programs.ts'
import { ok } from './sidecar.ts'

/** One request to make. */
export type Call = {
  readonly to: string
  readonly port: number
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  /** How long the caller waits for an answer, milliseconds; 5 s where absent. */
  readonly milliseconds?: number
}

/** What the application says that it saw of a request. */
export type Seen = {
  readonly by: string
  readonly port: number
  readonly source: string
  readonly local: string
  readonly path: string
  /** There when some Envoy treated the request as HTTP. */
  readonly requestId?: string
}

/** What came back of a call, with the caller's own end of the connection. */
export type Answer = {
  readonly address: string
  readonly port: number
  /** HTTP status, or why there is none: `ECONNREFUSED`, `timeout`. */
  readonly status: number | string
  readonly body: string
  readonly seen?: Seen
}

/** How long a caller waits for an answer unless it is told otherwise, milliseconds. */
const PATIENCE = 5000

/** Makes one call as somebody of a place, from a port of the caller's. */
export type MakeCall = (place: Place, who: Who, from: number, call: Call) => Promise<Answer>

/** Who calls in a lab. Each caller is one process, which stays for the next call. */
export function makeCaller(lab: Lab): MakeCall {
  const callers = new Map<string, Talker>()
  return async (place, who, from, call) => {
    const key = JSON.stringify([place, who])
    const caller = callers.get(key) ?? lab.talk(place, who, process.execPath, ['-e', CALLER])
    callers.set(key, caller)
    const line = await caller.ask(
      JSON.stringify({ milliseconds: PATIENCE, path: '/', ...call, from }),
    )
    const json = ok(readYaml('answer', line))
    if (!isObject(json)) throw new Error(`an answer that is no object: ${line}`)
    return readAnswer(json)
  }
}

function readAnswer(json: JsonObject): Answer {
  const { address, port, status, failed, body } = json
  const text = typeof body === 'string' ? body : ''
  const seen = readSeen(text)
  return {
    address: typeof address === 'string' ? address : '',
    port: typeof port === 'number' ? port : 0,
    status: typeof status === 'number' ? status : typeof failed === 'string' ? failed : 'nothing',
    body: text,
    ...(seen !== undefined && { seen }),
  }
}

function readSeen(body: string): Seen | undefined {
  const read = body.startsWith('{') ? readYaml('body', body) : undefined
  if (read?.ok !== true || !isObject(read.value)) return undefined
  const { by, port, source, local, path, requestId } = read.value
  if (typeof by !== 'string' || typeof port !== 'number' || typeof source !== 'string') {
    return undefined
  }
  return {
    by,
    port,
    source,
    local: typeof local === 'string' ? local : '',
    path: typeof path === 'string' ? path : '',
    ...(typeof requestId === 'string' && { requestId }),
  }
}
