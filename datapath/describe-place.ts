/** The network namespace that is described, and the processes in it. */
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod } from '../core/k8s.ts'
import { Refusal } from '../core/problem.ts'
import { findNetns, namespaceAt, namespaceOf, namespaces } from '../iptables-init/find-netns.ts'

/** A namespace that cannot go away while it is held. */
export type Place = {
  /** For people. */
  readonly name: string
  /** As `nsenter --net` takes it. */
  readonly netns: string
  /** The folders in proc of the processes inside. */
  readonly processes: readonly string[]
  readonly release: () => Promise<void>
}

/** Where to look: one of these, or else where the pod runs. */
export type Whereabouts = { readonly netns?: string; readonly pid?: string; readonly proc: string }

/** Finds and holds the namespace. A text says why it is not here and what to do; a wrong path is refused. */
export async function findPlace(
  { netns, pid, proc }: Whereabouts,
  pod: Pod | undefined,
): Promise<Place | string> {
  if (netns !== undefined) return hold(proc, '--netns', netns, netns)
  if (pid !== undefined) return hold(proc, '--pid', join(proc, pid, 'ns/net'), `process ${pid}`)
  if (pod?.spec?.hostNetwork === true) {
    return 'the pod is in the network of its node, where no rules are written: there is nothing to describe'
  }
  const { uid } = pod?.metadata ?? {}
  if (uid === undefined) {
    return 'a manifest without metadata.uid does not say which process is the pod: add --pid or --netns, or give the manifest of the running pod (kubectl get pod -o yaml)'
  }
  const ips = (pod?.status?.podIPs ?? []).flatMap(({ ip }) => ip)
  const own = await Promise.all([namespaceOf(join(proc, '1')), namespaceOf('/proc/self')])
  const found = await findNetns(proc, { uid, ips }, own)
  if (typeof found === 'string') return absent(pod, found)
  return hold(proc, 'pod', join(proc, found.pid, 'ns/net'), `process ${found.pid}`)
}

async function hold(proc: string, flag: string, path: string, name: string): Promise<Place> {
  const refused = (got: string): Refusal =>
    new Refusal([{ path: flag, got, want: 'a network namespace that can be opened (as root)' }])
  const file = await open(path).catch((error: unknown) => {
    throw refused(error instanceof Error ? error.message : String(error))
  })
  const held = `/proc/${process.pid}/fd/${file.fd}`
  const [own, found] = await Promise.all([stat('/proc/self/ns/net'), file.stat()])
  if (own.dev !== found.dev) {
    await file.close()
    throw refused(path)
  }
  // A file that a namespace is bound to names it by its inode.
  const link = `net:[${found.ino}]`
  const groups = (await namespaceAt(held)) === undefined ? [] : await namespaces(proc, [])
  const pids = groups.find((group) => group.netns === link)?.pids ?? []
  return {
    name,
    netns: held,
    processes: pids.map((one) => join(proc, one)),
    release: () => file.close(),
  }
}

function absent(pod: Pod | undefined, why: string): string {
  const { namespace = 'default', name = '' } = pod?.metadata ?? {}
  const node = pod?.spec?.nodeName
  const phase = pod?.status?.phase
  if (node === undefined) return `pod ${namespace}/${name} runs nowhere yet: it has no node`
  if (phase === 'Succeeded' || phase === 'Failed') return `pod ${namespace}/${name} has ended`
  return `pod ${namespace}/${name} is not on this machine (${why}): it is on node ${node}; run there as root: sidecar-injector describe ${namespace}/${name}, or without an API server: kubectl get pod -n ${namespace} ${name} -o yaml, saved there for sidecar-injector describe -f FILE`
}
