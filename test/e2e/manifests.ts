/** The manifests of deploy/, rendered by the kustomize that is part of kubectl. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { isObject, type Json, type JsonObject } from '../../core/json.ts'
import { parseDocuments, printYaml } from '../../core/yaml.ts'
import type { ControlPlane } from './control-plane.ts'
import { textAt } from './objects.ts'

/** The folder with all manifests. */
export const deploy = join(import.meta.dirname, '../../deploy')

/** Renders deploy/base with components, as an overlay of a user's would; `more` are further fields of it. */
export async function renderWith(
  controlPlane: ControlPlane,
  components: readonly string[],
  more: JsonObject = {},
): Promise<readonly JsonObject[]> {
  const folder = join(controlPlane.processes.folder, 'overlays', components.join('-') || 'base')
  await mkdir(folder, { recursive: true })
  // kustomize takes relative paths only.
  const overlay: Json = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: [relative(folder, join(deploy, 'base'))],
    components: components.map((name) => relative(folder, join(deploy, 'components', name))),
    ...more,
  }
  await writeFile(join(folder, 'kustomization.yaml'), printYaml(overlay))
  return render(controlPlane, folder)
}

/** Renders one folder. */
export async function render(
  { kubectl }: ControlPlane,
  folder: string,
): Promise<readonly JsonObject[]> {
  const { exitCode, stdout, stderr } = await kubectl(['kustomize', folder])
  if (exitCode !== 0 || stderr !== '') throw new Error(`kubectl kustomize ${folder}: ${stderr}`)
  return [...parseDocuments(folder, stdout)].flatMap((read) => {
    if (!read.ok) throw new Error(JSON.stringify(read.problems))
    return isObject(read.value.value) ? [read.value.value] : []
  })
}

/** The only object of that kind; throws when there is none, or more than one. */
export function only(objects: readonly JsonObject[], kind: string): JsonObject {
  const found = objects.filter((object) => object['kind'] === kind)
  const [one] = found
  if (one === undefined || found.length > 1) throw new Error(`${kind}: got ${found.length}, want 1`)
  return one
}

/** `Kind name`, as people call an object. */
export function titleOf(object: unknown): string {
  return `${textAt(object, 'kind')} ${textAt(object, 'metadata', 'name')}`
}

/** What kubectl says of objects that it applies on the server, strictly; dry runs store nothing. */
export async function apply(
  { kubectl }: ControlPlane,
  objects: readonly JsonObject[],
  ...flags: readonly string[]
): Promise<{ readonly exitCode: number | undefined; readonly stderr: string }> {
  const text = objects.map((object) => JSON.stringify(object)).join('\n---\n')
  const how = ['apply', '--server-side', '--force-conflicts', '--validate=strict', '-f', '-']
  const { exitCode, stderr } = await kubectl([...how, ...flags], text)
  return { exitCode, stderr }
}

/** Applies, and throws what kubectl says when it has anything to say. */
export async function applyQuietly(
  controlPlane: ControlPlane,
  objects: readonly JsonObject[],
): Promise<void> {
  const { exitCode, stderr } = await apply(controlPlane, objects)
  if (exitCode !== 0 || stderr !== '') throw new Error(`kubectl apply: ${stderr}`)
}
