import type { FastifyServerOptions } from 'fastify'
import { gathered, type LineStream } from './log-lines.ts'

/** Where log lines go, JSON each; false for nowhere. The default stream is standard output. */
export type LogTarget = false | { readonly level: string; readonly stream?: LineStream }

/** Levels that a log can be set to, the loudest first. */
export const LOG_LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error', 'silent']

/** The logger of both servers: levels as words, times as RFC 3339, nothing that a container runtime adds anyway. */
export function loggerOptions(target: LogTarget): NonNullable<FastifyServerOptions['logger']> {
  if (target === false) return false
  return {
    level: target.level,
    stream: target.stream ?? gathered(process.stdout),
    base: null,
    timestamp: makeTimestamp(),
    formatters: { level: (label) => ({ level: label }) },
  }
}

/** The time of a line in JSON. Its date and second are printed once a second, not once a line. */
function makeTimestamp(): () => string {
  let second = NaN
  let printed = ''
  return () => {
    const now = Date.now()
    const millisecond = now % 1000
    if (now - millisecond !== second) {
      second = now - millisecond
      printed = new Date(second).toISOString().slice(0, -4)
    }
    return `,"time":"${printed}${String(millisecond).padStart(3, '0')}Z"`
  }
}
