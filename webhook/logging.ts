import type { FastifyServerOptions } from 'fastify'

/** Where log lines go, JSON each; false for nowhere. The default stream is standard output. */
export type LogTarget =
  false | { readonly level: string; readonly stream?: { write: (line: string) => void } }

/** Levels that a log can be set to, the loudest first. */
export const LOG_LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error', 'silent']

/** The logger of both servers: levels as words, times as RFC 3339, nothing that a container runtime adds anyway. */
export function loggerOptions(target: LogTarget): NonNullable<FastifyServerOptions['logger']> {
  if (target === false) return false
  return {
    ...target,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
  }
}
