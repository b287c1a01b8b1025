/** The Helm chart of deploy/, rendered by the real helm. */
import { execa } from 'execa'
import { join } from 'node:path'
import { isObject, type JsonObject } from '../../core/json.ts'
import { parseDocuments } from '../../core/yaml.ts'
import { wordsOf } from '../docs/page.ts'
import type { ControlPlane } from './control-plane.ts'
import { deploy } from './manifests.ts'

/** The folder of the chart. */
export const chart = join(deploy, 'helm/sidecar-injector')

/** Runs helm; nothing of the machine's own settings reaches it. */
export async function helm(
  args: readonly string[],
  input = '',
): Promise<{
  readonly exitCode: number | undefined
  readonly stdout: string
  readonly stderr: string
}> {
  const program = join(process.env['KUBEBUILDER_ASSETS'] ?? '', 'helm')
  const { exitCode, stdout, stderr } = await execa(program, args, {
    input,
    reject: false,
    extendEnv: false,
    env: { HOME: '/nonexistent', HELM_CACHE_HOME: '/nonexistent' },
  })
  return { exitCode, stdout, stderr }
}

/**
 * Runs a line of a guide, helm or kubectl, on this cluster; paths below deploy/ are those of the project, and
 * `mine.yaml` lies in the folder of the control plane.
 */
export async function runLine(controlPlane: ControlPlane, line: string) {
  const [program, ...args] = wordsOf(line)
  const { folder } = controlPlane.processes
  const here = args.map((word) => {
    if (word === 'mine.yaml') return join(folder, word)
    return word.startsWith('deploy/') ? join(deploy, '..', word) : word
  })
  return program === 'helm'
    ? helm([...here, '--kubeconfig', controlPlane.kubeconfigPath])
    : controlPlane.kubectl(here)
}

/**
 * Renders a release with `--set` settings over `values`, the text of a values file; throws what
 * helm complains about.
 */
export async function renderChart(
  settings: readonly string[],
  namespace = 'sidecar-injector',
  values = '',
  release = 'injector',
): Promise<readonly JsonObject[]> {
  const set = settings.flatMap((setting) => ['--set', setting])
  // What `helm test` runs is no part of what is installed.
  const where = ['--namespace', namespace, '--kube-version', '1.36.3', '--skip-tests']
  const { exitCode, stdout, stderr } = await helm(
    ['template', release, chart, ...where, '--values', '-', ...set],
    values,
  )
  if (exitCode !== 0 || stderr !== '') throw new Error(stderr)
  return [...parseDocuments('helm template', stdout)].flatMap((read) => {
    if (!read.ok) throw new Error(JSON.stringify(read.problems))
    return isObject(read.value.value) ? [read.value.value] : []
  })
}
