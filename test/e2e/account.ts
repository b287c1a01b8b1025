/** The account that a Deployment runs under: its credentials, its rights, and what it asked for. */
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JsonObject } from '../../core/json.ts'
import type { ControlPlane } from './control-plane.ts'
import { at, listAt, textAt } from './objects.ts'

/** Writes a kubeconfig with a token of a ServiceAccount, and gives its path. */
export async function writeAccount(
  controlPlane: ControlPlane,
  namespace: string,
  account: string,
): Promise<string> {
  const { url, caPem, processes } = controlPlane
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`
  const { body } = await controlPlane.request('POST', path, { spec: { expirationSeconds: 3600 } })
  const token = textAt(body, 'status', 'token')
  const authority = Buffer.from(caPem).toString('base64')
  const kubeconfig = join(processes.folder, 'account.kubeconfig')
  const text = JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority-data': authority } }],
    users: [{ name: 'account', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'account' } }],
    'current-context': 'test',
  })
  await writeFile(kubeconfig, text, { mode: 0o600 })
  return kubeconfig
}

/** One call of an account, as the API server's audit log has it. */
export type Call = {
  /** `verb group/resource/name`. */
  readonly grant: string
  /** The same without the name. */
  readonly wide: string
  readonly code: number
}

/** An audit log of one account; flags of the API server ask for it. */
export type Audit = {
  /** Whoever made it removes it. */
  readonly folder: string
  readonly args: readonly string[]
  readonly calls: () => Promise<readonly Call[]>
}

/** Prepares the audit log of `user`. */
export async function makeAudit(user: string): Promise<Audit> {
  const folder = await mkdtemp(join(tmpdir(), 'sidecar-injector-audit-'))
  const policy = join(folder, 'policy.json')
  const log = join(folder, 'audit.log')
  const rules = [{ level: 'Metadata', users: [user] }, { level: 'None' }]
  const head = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'] }
  await writeFile(policy, JSON.stringify({ ...head, rules }))
  return {
    folder,
    args: [`--audit-policy-file=${policy}`, `--audit-log-path=${log}`],
    // The last line may be half written.
    calls: async () => (await readFile(log, 'utf8')).split('\n').slice(0, -1).map(readCall),
  }
}

function readCall(line: string): Call {
  const entry: unknown = JSON.parse(line)
  const about = at(entry, 'objectRef')
  const wide = `${textAt(entry, 'verb')} ${textAt(about, 'apiGroup')}/${textAt(about, 'resource')}`
  const code = Number(at(entry, 'responseStatus', 'code'))
  return { wide, grant: `${wide}/${textAt(about, 'name')}`, code }
}

/** Every single right that roles give, in the words of `Call`. */
export function grantsOf(objects: readonly JsonObject[]): readonly string[] {
  return objects
    .filter(({ kind }) => kind === 'ClusterRole' || kind === 'Role')
    .flatMap((role) => listAt(role, 'rules'))
    .flatMap((rule) =>
      listAt(rule, 'verbs').flatMap((verb) =>
        listAt(rule, 'resources').flatMap((resource) => {
          const wide = `${String(verb)} ${String(listAt(rule, 'apiGroups')[0])}/${String(resource)}`
          const names = listAt(rule, 'resourceNames')
          return names.length === 0 ? [wide] : names.map((name) => `${wide}/${String(name)}`)
        }),
      ),
    )
}
