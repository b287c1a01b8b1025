import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { isObject, type JsonObject } from '../core/json.ts'
import { Failure } from './codes.ts'
import { readKubeconfig } from './kubeconfig.ts'
import type { Log } from './log.ts'
import type { PodName } from './runtime-args.ts'

/** How long a pod may be looked for, in milliseconds, and with which kubeconfig. */
export type Lookup = {
  readonly kubeconfig: string
  readonly lookupTimeout: number
  readonly attemptTimeout: number
}

/**
 * The pod as the API server has it. Attempts go on until the budget ends, unless one says that it is of no
 * use; credentials are read anew each time, because a token may have been renewed meanwhile.
 */
export async function fetchPod(name: PodName, lookup: Lookup, log: Log): Promise<JsonObject> {
  const end = performance.now() + lookup.lookupTimeout
  let last: Again | undefined
  for (let attempt = 1; ; attempt++) {
    const left = end - performance.now()
    const outcome = await ask(name, lookup, Math.min(left, lookup.attemptTimeout))
    const seen = judge(outcome, name)
    if (seen.kind === 'pod') return seen.pod
    log('warn', 'pod lookup: attempt failed', { attempt, cause: seen.cause })
    if (seen.kind === 'final') throw new Failure('lookup', seen.cause)
    // An attempt that the end of the budget cut short says less than the one before it.
    const isCut = outcome.kind === 'none' && left < lookup.attemptTimeout
    last = isCut ? (last ?? seen) : seen
    const wait = Math.max(seen.wait ?? 0, Math.min(FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT))
    if (performance.now() + wait >= end) throw new Failure(last.atEnd, last.cause)
    await new Promise((resolve) => setTimeout(resolve, wait))
  }
}

/** Milliseconds between attempts: the first pause, doubled each time, and the longest. */
const FIRST_WAIT = 200
const LONGEST_WAIT = 2_000

/** Most bytes of an answer: above what any pod in etcd has. */
const LONGEST_ANSWER = 4 * 1024 * 1024

/** What came of one attempt. */
type Outcome =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly retryAfter: number
      readonly body: string
    }
  | { readonly kind: 'none'; readonly cause: string }
  | { readonly kind: 'too-long' }

type Seen =
  | { readonly kind: 'pod'; readonly pod: JsonObject }
  | { readonly kind: 'final'; readonly cause: string }
  | Again

type Again = {
  readonly kind: 'again'
  readonly cause: string
  /** Milliseconds that the API server asks to wait. */
  readonly wait?: number
  /** What it is called when the budget has ended. */
  readonly atEnd: 'later' | 'lookup'
}

function judge(outcome: Outcome, wanted: PodName): Seen {
  const pod = `pod ${wanted.namespace}/${wanted.name}`
  switch (outcome.kind) {
    case 'none':
      return {
        kind: 'again',
        cause: `${pod}: no answer from the API server: ${outcome.cause}`,
        atEnd: 'later',
      }
    case 'too-long':
      return {
        kind: 'final',
        cause: `${pod}: answer of the API server is above ${LONGEST_ANSWER} bytes`,
      }
    case 'answer':
      return judgeAnswer(outcome, wanted, pod)
  }
}

function judgeAnswer(
  { status, retryAfter, body }: Extract<Outcome, { kind: 'answer' }>,
  wanted: PodName,
  pod: string,
): Seen {
  switch (status) {
    case 200:
      return readPod(body, wanted, pod)
    case 401:
      return {
        kind: 'again',
        cause: `${pod}: agent credentials rejected (401); is the installer running on this node?`,
        atEnd: 'later',
      }
    case 403:
      return {
        kind: 'final',
        cause: `${pod}: forbidden (403): the plugin's account needs the right to get pods`,
      }
    case 404:
      return { kind: 'again', cause: `${pod}: not found (404)`, atEnd: 'lookup' }
    default: {
      const cause = `${pod}: the API server answered ${status}`
      return { kind: 'again', cause, wait: retryAfter, atEnd: 'later' }
    }
  }
}

/** Annotation of the API's copy of a pod that a file on the node made; its uid is another one. */
const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror'

function readPod(body: string, wanted: PodName, pod: string): Seen {
  const json = parse(body)
  const metadata = json?.['metadata']
  if (json === undefined || json['kind'] !== 'Pod' || !isObject(metadata)) {
    return {
      kind: 'again',
      cause: `${pod}: the API server answered with what is no pod`,
      atEnd: 'later',
    }
  }
  const annotations = metadata['annotations']
  const isMirror = isObject(annotations) && Object.hasOwn(annotations, MIRROR_ANNOTATION)
  if (wanted.uid !== undefined && metadata['uid'] !== wanted.uid && !isMirror) {
    return {
      kind: 'again',
      cause: `${pod}: the API server knows an older pod of that name`,
      atEnd: 'later',
    }
  }
  return { kind: 'pod', pod: json }
}

function parse(text: string): JsonObject | undefined {
  try {
    const json: unknown = JSON.parse(text)
    return isObject(json) ? json : undefined
  } catch {
    return undefined
  }
}

/** One GET. Nothing of the environment counts: no proxy, no other trust, no kept connection. */
function ask(name: PodName, { kubeconfig }: Lookup, timeout: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const fail = (error: unknown): void => {
      resolve({ kind: 'none', cause: error instanceof Error ? error.message : String(error) })
    }
    try {
      const { server, token, ca, cert, key, serverName, isInsecure } = readKubeconfig(kubeconfig)
      const path = `api/v1/namespaces/${encodeURIComponent(name.namespace)}/pods/${encodeURIComponent(name.name)}`
      const given = { ca, cert, key, servername: serverName }
      const call = request(new URL(path, server), {
        ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
        agent: new Agent({ keepAlive: false }),
        rejectUnauthorized: !isInsecure,
        minVersion: 'TLSv1.2',
        signal: AbortSignal.timeout(Math.max(1, Math.round(timeout))),
        headers: {
          accept: 'application/json',
          'user-agent': 'sidecar-cni',
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
        },
      })
      call.on('error', fail)
      call.on('response', (response) => {
        collect(response).then(resolve, fail)
      })
      call.end()
    } catch (error) {
      fail(error)
    }
  })
}

function collect(response: IncomingMessage): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    let size = 0
    response.on('error', reject)
    response.on('data', (bytes: Buffer) => {
      size += bytes.length
      parts.push(bytes)
      if (size <= LONGEST_ANSWER) return
      resolve({ kind: 'too-long' })
      response.destroy()
    })
    response.on('end', () => {
      resolve({
        kind: 'answer',
        status: response.statusCode ?? 0,
        retryAfter: secondsOf(response.headers['retry-after']) * 1_000,
        body: Buffer.concat(parts).toString('utf8'),
      })
    })
  })
}

/** Seconds to wait; dates, which API servers do not send, count as none. */
function secondsOf(text: string | undefined): number {
  return text !== undefined && /^\d{1,5}$/.test(text) ? Number(text) : 0
}
