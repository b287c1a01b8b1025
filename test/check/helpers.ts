import { printYaml } from '../../core/yaml.ts'
import type { Json, JsonObject } from '../../core/json.ts'

/** An object as a test writes it. */
export type Written = JsonObject

/** Objects as one stream of documents. */
export function stream(...objects: readonly Written[]): string {
  return objects.map((object) => printYaml(object)).join('---\n')
}

/** A namespace; without labels given, one that asks for injection. */
export function namespace(labels: Readonly<Record<string, string>> = ENABLED): Written {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels } }
}

export const ENABLED = { 'istio-injection': 'enabled' }

/** A Deployment of one container; `spec` and `metadata` are those of its pod template. */
export function deployment(
  spec: JsonObject = {},
  metadata: JsonObject = {},
  own: JsonObject = {},
): Written {
  const labels = { app: 'web', ...(metadata['labels'] as JsonObject | undefined) }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'shop', ...own },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { ...metadata, labels },
        spec: { containers: [container()], ...spec },
      },
    },
  }
}

/** A container with more fields than name and image. */
export function container(fields: JsonObject = {}): JsonObject {
  return { name: 'web', image: 'example.com/web:1', ...fields }
}

/** A Service of the Deployment's pods. */
export function service(name: string, port: JsonObject, spec: JsonObject = {}): Written {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'shop' },
    spec: { selector: { app: 'web' }, ports: [port], ...spec },
  }
}

/** A webhook with one entry. */
export function webhook(
  name: string,
  entry: string,
  namespaceSelector: JsonObject,
  objectSelector: JsonObject = {},
): Written {
  const pods = { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name },
    webhooks: [{ name: entry, namespaceSelector, objectSelector, rules: [pods] }],
  }
}

/** An object of a namespace that has only a spec. */
export function withSpec(kind: string, spec: Readonly<Record<string, Json>>): Written {
  return { apiVersion: 'v1', kind, metadata: { name: 'bounds', namespace: 'shop' }, spec }
}
