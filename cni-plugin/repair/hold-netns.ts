/** Holding the network namespace of a pod that runs already, while its rules are written. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { findNetns, namespaceAt, namespaceOf, type Sought } from '../../iptables-init/find-netns.ts'
import { demandForeign } from '../netns.ts'

/** A namespace that cannot go away while it is held. */
export type HeldNetns = { readonly path: string; readonly release: () => Promise<void> }

/** Finds and holds the pod's namespace; says why not where none, or more than one, could be it. */
export async function holdNetns(hostProc: string, sought: Sought): Promise<HeldNetns | string> {
  const own = await Promise.all([namespaceOf(join(hostProc, '1')), namespaceOf('/proc/self')])
  const found = await findNetns(hostProc, sought, own)
  if (typeof found === 'string') return found
  const file = await open(join(hostProc, found.pid, 'ns/net')).catch(() => undefined)
  if (file === undefined) return GONE
  const held = { path: `/proc/${process.pid}/fd/${file.fd}`, release: () => file.close() }
  // The process may have ended, and its number be somebody else's, since it was looked at.
  if ((await namespaceAt(held.path)) !== found.netns) {
    await held.release()
    return GONE
  }
  try {
    demandForeign(held.path, ['/proc/self/ns/net', join(hostProc, '1/ns/net')])
  } catch (error) {
    await held.release()
    throw error
  }
  return held
}

const GONE = 'the process that had the network namespace of the pod has ended'
