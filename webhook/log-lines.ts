/** Where log lines go: pino writes one at a time. */
export type LineStream = { readonly write: (line: string) => void }

/**
 * Gathers the lines of one turn of the event loop and writes them together: under load the system
 * calls of a log cost more than its lines. Nothing is lost by an exit, also one after an exception.
 */
export function gathered(out: NodeJS.WritableStream): LineStream {
  let lines = ''
  const flush = (): void => {
    const text = lines
    lines = ''
    if (text !== '') out.write(text)
  }
  // A reader that went away must not end the webhook.
  out.on('error', () => undefined)
  process.on('exit', flush)
  return {
    write: (line) => {
      if (lines === '') setImmediate(flush)
      lines += line
    },
  }
}
