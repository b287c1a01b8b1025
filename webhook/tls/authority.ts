import { chmod, rename, unlink, writeFile } from 'node:fs/promises'
import { makeCa, makeLeaf, printKey } from './x509.ts'

/** A server certificate with its chain, and its key, both in PEM. */
export type KeyPair = { readonly cert: string; readonly key: string }

/** Lives as long as the process: a key pair for the server and the CA that a caller needs to verify it. */
export type Throwaway = { readonly pair: KeyPair; readonly ca: string }

/** Longer than a process on one machine lives. */
const VALID_DAYS = 365

/** Makes a CA in memory and a server certificate for `hosts`; the CA's key is not kept. */
export async function makeThrowaway(hosts: readonly string[], now: Date): Promise<Throwaway> {
  const validity = { now, validDays: VALID_DAYS }
  const ca = await makeCa({ ...validity, commonName: 'sidecar-injector throwaway CA' })
  const leaf = await makeLeaf(ca, { ...validity, commonName: 'sidecar-injector', hosts })
  return {
    pair: { cert: leaf.certificate.trimEnd() + '\n', key: await printKey(leaf) },
    ca: ca.certificate.trimEnd() + '\n',
  }
}

/** Names that the webhook is called by: this machine, and the Service in front of it in a cluster. */
export function hostsOf(service: string, namespace: string): readonly string[] {
  const inCluster = [service, `${service}.${namespace}`, `${service}.${namespace}.svc`]
  return [
    'localhost',
    '127.0.0.1',
    '::1',
    ...inCluster,
    `${service}.${namespace}.svc.cluster.local`,
  ]
}

/** Writes a file that everyone may read; who reads it meanwhile sees all of it or nothing. */
export async function publishFile(path: string, text: string): Promise<void> {
  const draft = `${path}.${String(process.pid)}.tmp`
  try {
    await writeFile(draft, text)
    // After the fact, because the process's umask narrows what a new file gets.
    await chmod(draft, 0o644)
    await rename(draft, path)
  } catch (error) {
    await unlink(draft).catch(() => undefined)
    throw error
  }
}
