import { visible } from '../../core/problem.ts'

/** Levels of log lines, the loudest first. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const

export type LogLevel = (typeof LOG_LEVELS)[number]

/** What a line says besides its message: values that become JSON. */
export type LogFields = Readonly<Record<string, unknown>>

/** Writes one line. */
export type Log = (level: LogLevel, message: string, fields?: LogFields) => void

/** A log of JSON lines, one an event: level, time (RFC 3339), message, then the fields. */
export function makeLog(least: LogLevel, write: (line: string) => void): Log {
  const from = LOG_LEVELS.indexOf(least)
  return (level, msg, fields = {}) => {
    if (LOG_LEVELS.indexOf(level) < from) return
    write(printLine({ level, time: new Date().toISOString(), msg, ...fields }))
  }
}

/** One line of JSON. JSON escapes most control characters, `visible` the others. */
export function printLine(fields: LogFields): string {
  return `${visible(JSON.stringify(fields))}\n`
}

/** What an error says, for a log field. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
