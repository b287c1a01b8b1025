/** The values file that guides name in every command, and whether a cluster still has what it says. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readYaml } from '../../core/yaml.ts'
import type { ControlPlane } from '../e2e/control-plane.ts'
import { at, listAt, textAt } from '../e2e/objects.ts'

const REGISTRY = 'registry.example.com/mesh/'

/** As somebody with a registry and in CNI mode has it. */
export const MINE = `imageRegistry: ${REGISTRY}
cni:
  enabled: true
injection:
  values:
    pilot:
      cni:
        enabled: true
`

/** Writes the file to where `runLine` looks for it. */
export async function writeMine({ processes }: ControlPlane): Promise<void> {
  await writeFile(join(processes.folder, 'mine.yaml'), MINE)
}

/** What the installed releases lack of it, a sentence each; nothing where nothing is installed. */
export async function lostOf({ request }: ControlPlane): Promise<readonly string[]> {
  const itemsAt = async (path: string) => listAt((await request('GET', path)).body, 'items')
  const ours = '/namespaces/sidecar-injector'
  const deployments = await itemsAt(`/apis/apps/v1${ours}/deployments`)
  const daemonSets = await itemsAt('/apis/apps/v1/namespaces/sidecar-cni/daemonsets')
  const lost: string[] = []
  for (const workload of [...deployments, ...daemonSets]) {
    const [container] = listAt(workload, 'spec', 'template', 'spec', 'containers')
    const image = textAt(container, 'image')
    if (!image.startsWith(REGISTRY)) lost.push(`registry: ${image}`)
  }
  if (deployments.length > 0 && daemonSets.length !== 1) lost.push(`${daemonSets.length} agents`)
  for (const deployment of deployments) {
    const name = textAt(deployment, 'metadata', 'name')
    const { body } = await request('GET', `/api/v1${ours}/configmaps/${name}`)
    const values = readYaml('values', textAt(body, 'data', 'values'))
    const isOn = values.ok && at(values.value, 'pilot', 'cni', 'enabled') === true
    if (!isOn) lost.push(`${name}: CNI mode`)
  }
  return lost
}
