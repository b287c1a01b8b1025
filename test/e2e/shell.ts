import { execFile } from 'node:child_process'
import { cp, mkdir, symlink } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** What a script printed, and its exit status. */
export type Done = { readonly status: number; readonly out: string; readonly says: string }

/** A project of manifests, and people who type commands in it, with our bins and the test tools on their path. */
export type Project = {
  readonly folder: string
  readonly run: (script: string) => Promise<Done>
}

/** A copy of test/fixtures/pipelines below `home`, its files committed. */
export async function makeProject(home: string, kubeconfig = '/nowhere'): Promise<Project> {
  const folder = join(home, 'project')
  await cp(join(root, 'test/fixtures/pipelines'), folder, { recursive: true })
  const bins = join(home, 'bins')
  await mkdir(bins)
  for (const name of ['sidecar-injector', 'kubectl-inject']) {
    await symlink(join(root, 'dist/cli/sidecar-injector.cjs'), join(bins, name))
  }
  const { KUBEBUILDER_ASSETS: tools = '', PATH: path = '' } = process.env
  const env = {
    PATH: [bins, tools, dirname(process.execPath), path].join(delimiter),
    HOME: home,
    KUBECONFIG: kubeconfig,
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_AUTHOR_NAME: 'A Reader',
    GIT_AUTHOR_EMAIL: 'reader@example.com',
    GIT_COMMITTER_NAME: 'A Reader',
    GIT_COMMITTER_EMAIL: 'reader@example.com',
  }
  const run = (script: string) => runScript(script, folder, env)
  const first = 'git init --quiet && git add --all && git commit --quiet --message first'
  const { status, says } = await run(first)
  if (status !== 0) throw new Error(says)
  return { folder, run }
}

/** Milliseconds for one command. */
const LONGEST = 90_000

/** What people type needs a shell. */
function runScript(script: string, cwd: string, env: NodeJS.ProcessEnv): Promise<Done> {
  return new Promise((resolve) => {
    const args = ['-o', 'errexit', '-o', 'pipefail', '-c', script]
    const options = { cwd, env, timeout: LONGEST }
    const child = execFile('bash', args, options, (error, out, says) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ status, out, says })
    })
    child.stdin?.end()
  })
}
