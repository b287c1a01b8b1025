/** What deploy/ renders to, put to work: its Service, its flags, and Deployments that come to it. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isObject, type JsonObject } from '../../core/json.ts'
import type { ControlPlane } from './control-plane.ts'
import type { Fleet } from './fleet.ts'
import { applyQuietly, only, titleOf } from './manifests.ts'
import { at, create, listAt, textAt } from './objects.ts'
import { until } from './until.ts'

/**
 * There is no network between the API server and a Service here: the Service becomes a name for this
 * machine, and the entries name the balancer's port. The rest of the call is as deployed, the name that
 * the certificate must bear included.
 */
export async function redirect(
  controlPlane: ControlPlane,
  base: readonly JsonObject[],
  fleet: Fleet,
): Promise<void> {
  const configurations = base.filter((one) => one['kind'] === 'MutatingWebhookConfiguration')
  for (const configuration of configurations) {
    const webhooks = listAt(configuration, 'webhooks').map((entry) => {
      const service = at(entry, 'clientConfig', 'service')
      const here = { ...membersOf(service), port: fleet.balancer.port }
      return { ...membersOf(entry), clientConfig: { service: here } }
    })
    await applyQuietly(controlPlane, [{ ...configuration, webhooks }])
  }
  const service = only(base, 'Service')
  const path = `/api/v1/namespaces/${textAt(service, 'metadata', 'namespace')}/services`
  await controlPlane.request('DELETE', `${path}/${textAt(service, 'metadata', 'name')}`)
  const spec = { type: 'ExternalName', externalName: 'localhost' }
  await create(controlPlane, path, { ...service, spec })
}

/**
 * Arguments of the webhook's container on this machine: what its release mounts from a ConfigMap is written
 * into a folder, and named there.
 */
export async function argsHere(
  controlPlane: ControlPlane,
  objects: readonly JsonObject[],
): Promise<{ readonly args: readonly string[]; readonly folder: string }> {
  const folder = join(controlPlane.processes.folder, 'injection')
  await mkdir(folder, { recursive: true })
  const named = textAt(only(objects, 'Deployment'), 'metadata', 'name')
  const map = objects.find((one) => titleOf(one) === `ConfigMap ${named}`)
  for (const [name, text] of Object.entries(membersOf(at(map, 'data')))) {
    await writeFile(join(folder, name), typeof text === 'string' ? text : '')
  }
  const args = argsOf(objects).map((arg) => arg.replace('/etc/sidecar-injector/injection', folder))
  return { args, folder }
}

/** Arguments of the webhook's container. */
export function argsOf(objects: readonly JsonObject[]): readonly string[] {
  return listAt(containerOf(objects), 'args').map(String)
}

/** Its environment, `NAME=field of the pod`. */
export function environmentOf(objects: readonly JsonObject[]): readonly string[] {
  return listAt(containerOf(objects), 'env').map(
    (one) => `${textAt(one, 'name')}=${textAt(one, 'valueFrom', 'fieldRef', 'fieldPath')}`,
  )
}

function containerOf(objects: readonly JsonObject[]): unknown {
  return listAt(only(objects, 'Deployment'), 'spec', 'template', 'spec', 'containers')[0]
}

/** The members of an object, none of anything else. */
export function membersOf(value: unknown): JsonObject {
  return isObject(value) ? value : {}
}

/** Waits for that many Pods with a label, and gives them. */
export function untilPods(
  { request }: ControlPlane,
  namespace: string,
  label: string,
  count: number,
) {
  return until(`${count} Pods with ${label}`, async () => {
    const query = `labelSelector=${encodeURIComponent(label)}`
    const { body } = await request('GET', `/api/v1/namespaces/${namespace}/pods?${query}`)
    const items = listAt(body, 'items')
    return items.length === count ? items : undefined
  })
}

/** A Deployment of two Pods. */
export function deploymentOf(
  app: string,
  annotations: Readonly<Record<string, string>> = {},
): unknown {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: app },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app } },
      template: {
        metadata: { labels: { app }, annotations },
        spec: { containers: [{ name: 'app', image: 'nginx:1.29' }] },
      },
    },
  }
}

/** Where definitions are posted. */
export const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

/** Kinds of others; what they say does not matter here, their names and places do. */
export const FOREIGN = [
  ['Issuer', 'cert-manager.io', 'v1'],
  ['Certificate', 'cert-manager.io', 'v1'],
  ['ProxyConfig', 'networking.istio.io', 'v1beta1'],
] as const

/** A definition that takes any object of the kind. */
export function crdOf(kind: string, group: string, version: string): unknown {
  const singular = kind.toLowerCase()
  const schema = {
    openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  }
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${singular}s.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, singular, plural: `${singular}s` },
      versions: [{ name: version, served: true, storage: true, schema }],
    },
  }
}
