import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import type { Port } from '../core/ports.ts'

/** A listener that tells whoever connects a secret, so that a stranger's answer is no answer. */
export type Listener = { readonly token: string; readonly close: () => Promise<void> }

/** Opens such a listener, or says why it cannot be opened. */
export async function answerWith(
  host: string,
  port: Port,
): Promise<
  | { readonly ok: true; readonly listener: Listener }
  | { readonly ok: false; readonly cause: string }
> {
  const token = randomBytes(16).toString('hex')
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.end(token)
  })
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    return { ok: false, cause: error instanceof Error ? error.message : String(error) }
  }
  const close = async (): Promise<void> => {
    server.close()
    await once(server, 'close')
  }
  return { ok: true, listener: { token, close } }
}

/** A connection to try, and the secret that the right listener answers. */
export type Question = {
  readonly to: string
  readonly port: Port
  readonly from: string | undefined
  readonly token: string
}

/** Pause between two tries, and the shortest time in which a try can be said to have no answer. Milliseconds. */
const PAUSE = 200

/**
 * Tries until the right listener answers or the time is up. `timeout` in milliseconds; the last try may take
 * a pause longer. The cause tells each different outcome once, the first one first.
 */
export async function ask(
  question: Question,
  timeout: number,
): Promise<{ readonly answer: boolean; readonly cause: string }> {
  const end = performance.now() + timeout
  const causes = new Set<string>()
  for (let left = timeout; left > 0; left = end - performance.now()) {
    const outcome = await askOnce(question, Math.max(left, PAUSE))
    if (outcome === question.token) return { answer: true, cause: '' }
    causes.add(outcome)
    await wait(Math.min(PAUSE, Math.max(0, end - performance.now())))
  }
  const last = causes.size === 0 ? [`no answer in ${timeout / 1000} s`] : causes
  return { answer: false, cause: [...last].join(', then ') }
}

/** What came back: the secret, or the reason why it did not. */
async function askOnce({ to, port, from, token }: Question, timeout: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: to, port, ...(from !== undefined && { localAddress: from }) })
    let text = ''
    socket.setTimeout(timeout, () => {
      resolve('no answer in time')
      socket.destroy()
    })
    socket.on('data', (data) => {
      text += data.toString('latin1')
    })
    socket.on('error', (error) => {
      resolve(error.message)
    })
    socket.on('close', () => {
      resolve(text === token ? token : 'somebody else answered')
    })
  })
}
