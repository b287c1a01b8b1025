import type { World } from './commands.ts'
import { Failure } from './codes.ts'
import { printFailure, readCall, SILENT, summarize, type Answer } from './protocol.ts'
import { printVersions, VERSIONS } from './versions.ts'

/**
 * Answers one call of a runtime. What only some commands need is loaded when it is needed, because every
 * start of a pod waits for this.
 */
export async function main(world: World): Promise<Answer> {
  const { env, journal } = world
  const command = env['CNI_COMMAND'] ?? ''
  if (command === '') return about(world)
  if (command === 'VERSION') return { stdout: printVersions(), exit: 0 }
  journal.name({
    command,
    container: env['CNI_CONTAINERID'] || undefined,
    netns: env['CNI_NETNS'] || undefined,
    interface: env['CNI_IFNAME'] || undefined,
    trace: env['TRACEPARENT'] || undefined,
  })
  if (command === 'DEL') return remove(world)
  try {
    const call = readCall(env)
    if (!call.ok) {
      const { message, details } = summarize(call.problems)
      throw new Failure('environment', message, details)
    }
    const { carryOut } = await import('./commands.ts')
    const answer = await carryOut(call.value, world)
    journal.log('debug', 'done', elapsed())
    return answer
  } catch (error) {
    return fail(error, world)
  }
}

/** What this program is, for somebody who starts it by hand. */
function about({ say }: World): Answer {
  say(`sidecar-cni: a CNI plugin that writes the traffic rules of injected pods\n`)
  say(`CNI protocol versions supported: ${VERSIONS.join(', ')}\n`)
  return SILENT
}

/** The rules go with the namespace. An error here would keep the pod from ever ending. */
async function remove({ readInput, journal }: World): Promise<Answer> {
  try {
    const { readNetConf } = await import('./netconf.ts')
    journal.configure(readNetConf(await readInput()).options)
  } catch (error) {
    journal.log('warn', 'configuration not read', { cause: textOf(error) })
  }
  journal.log('debug', 'done', elapsed())
  return SILENT
}

function fail(error: unknown, { journal }: World): Answer {
  if (error instanceof Failure) {
    const { kind, message, details } = error
    journal.log('error', message, { failed: kind, details, ...elapsed() })
    return printFailure(kind, message, details)
  }
  // Where in the code is for the log; the runtime gets words.
  const stack = error instanceof Error ? error.stack : undefined
  journal.log('error', textOf(error), { failed: 'internal', stack, ...elapsed() })
  return printFailure('internal', `fault of the plugin: ${textOf(error)}`)
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Milliseconds since the process began. */
function elapsed(): { readonly ms: number } {
  return { ms: Math.round(performance.now()) }
}
