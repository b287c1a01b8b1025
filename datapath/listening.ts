import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import type { Started } from './lab.ts'

/** State of a listening socket in /proc/net/tcp. */
const LISTEN = '0A'

/** TCP ports that anybody listens on in the network namespace of a process. */
export function listeningPorts(pid: number): ReadonlySet<number> {
  const lines = ['tcp', 'tcp6'].flatMap((name) => {
    try {
      return readFileSync(`/proc/${pid}/net/${name}`, 'utf8').split('\n').slice(1)
    } catch {
      return []
    }
  })
  const ports = lines.flatMap((line) => {
    const [, local = '', , state] = line.trim().split(/\s+/)
    return state === LISTEN ? [parseInt(local.split(':').at(-1) ?? '', 16)] : []
  })
  return new Set(ports)
}

/** Waits until somebody listens on all the ports beside a program; throws with its complaints when it ends, or in time. */
export async function untilListening(
  name: string,
  started: Started,
  ports: readonly number[],
  milliseconds = 15_000,
): Promise<void> {
  const end = performance.now() + milliseconds
  for (;;) {
    const how = started.ended()
    const there = listeningPorts(started.pid)
    const missing = ports.filter((port) => !there.has(port))
    if (how === undefined && missing.length === 0) return
    if (how !== undefined || performance.now() > end) {
      const state = how === undefined ? `not listening on ${missing.join(', ')}` : `ended: ${how}`
      throw new Error(`${name}: ${state}\n${started.complaints().trim()}`)
    }
    await wait(20)
  }
}
