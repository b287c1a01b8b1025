/** Objects of a cluster, as the end-to-end tests make and read them. */
import { isArray, isObject } from '../../core/json.ts'
import type { ControlPlane } from './control-plane.ts'
import { until } from './until.ts'

/** The member at the end of the path, `undefined` where the path ends early. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, key) => (isObject(inner) ? inner[key] : undefined), value)
}

/** The text at the end of the path, empty where there is none. */
export function textAt(value: unknown, ...path: readonly string[]): string {
  const found = at(value, ...path)
  return typeof found === 'string' ? found : ''
}

/** The list at the end of the path, empty where there is none. */
export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = at(value, ...path)
  return isArray(found) ? found : []
}

/** What the API server says of a refusal. */
export function messageOf(body: unknown): string {
  return typeof body === 'string' ? body : textAt(body, 'message')
}

/** Names of all containers of a Pod, sorted. */
export function containersOf(pod: unknown): readonly string[] {
  return ['initContainers', 'containers']
    .flatMap((field) => listAt(pod, 'spec', field))
    .map((container) => textAt(container, 'name'))
    .sort()
}

/** Creates an object strictly; throws what the API server says when it does not take it. */
export async function create(
  { request }: ControlPlane,
  path: string,
  object: unknown,
): Promise<unknown> {
  const { status, body } = await request('POST', `${path}?fieldValidation=Strict`, object)
  if (status !== 201) throw new Error(`${path}: got ${status} ${messageOf(body)}, want 201`)
  return body
}

/** Creates a namespace and waits for the ServiceAccount that Pods need; a controller makes it. */
export async function createNamespace(
  controlPlane: ControlPlane,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<void> {
  const metadata = { name, labels }
  await create(controlPlane, '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata,
  })
  await until(`ServiceAccount of ${name}`, async () => {
    const path = `/api/v1/namespaces/${name}/serviceaccounts/default`
    return (await controlPlane.request('GET', path)).status === 200 ? true : undefined
  })
}
