import { CommanderError } from 'commander'
import { previewCommand } from '../../preview/command.ts'

/** What a run printed, and its exit status. */
export type Ran = {
  readonly out: string
  readonly says: string
  readonly status: number | string | undefined
}

/** Runs `preview` as the program does, in this process. */
export async function run(...argv: readonly string[]): Promise<Ran> {
  const streams = { stdout: '', stderr: '' }
  const { stdout, stderr } = process
  const writes = [stdout.write.bind(stdout), stderr.write.bind(stderr)] as const
  const collect = (name: 'stdout' | 'stderr') =>
    ((piece: Buffer | string, done?: () => void) => {
      streams[name] += piece.toString()
      done?.()
      return true
    }) as typeof process.stdout.write
  process.stdout.write = collect('stdout')
  process.stderr.write = collect('stderr')
  const before = process.exitCode
  try {
    process.exitCode = 0
    await previewCommand()
      .exitOverride()
      .parseAsync([...argv], { from: 'user' })
  } catch (cause) {
    if (!(cause instanceof CommanderError)) throw cause
    process.exitCode = 2
  } finally {
    process.stdout.write = writes[0]
    process.stderr.write = writes[1]
  }
  const status = process.exitCode
  process.exitCode = before ?? 0
  return { out: streams.stdout, says: streams.stderr, status }
}
