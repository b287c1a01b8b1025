import type { Container, StringMap } from '../k8s.ts'
import type { MeshConfig } from './mesh-config.ts'

/** Annotation prefix of the attributes that a user may set. */
const ANNOTATION_PREFIX = 'resource.opentelemetry.io/'
const VERSION_LABEL = 'app.kubernetes.io/version'

/**
 * The value of OTEL_RESOURCE_ATTRIBUTES: namespace, version and instance of the service by OpenTelemetry's
 * Kubernetes conventions, `name=value` joined by commas. Empty unless a provider of the mesh asks for them.
 * `containers` are those of the pod without what injection added.
 */
export function otelResourceAttributes(
  mesh: Pick<MeshConfig, 'hasOtelConventions'>,
  annotations: StringMap,
  labels: StringMap,
  namespace: string,
  containers: readonly Pick<Container, 'name' | 'image'>[],
): string {
  if (!mesh.hasOtelConventions) return ''
  const [first] = containers
  const version = labels[VERSION_LABEL] ?? ''
  const inferred = {
    'service.namespace': namespace,
    'service.version':
      version === '' && containers.length === 1 ? imageVersion(first?.image) : version,
    'service.instance.id': first === undefined ? '' : `${namespace}.$(POD_NAME).${first.name}`,
  }
  return Object.entries(inferred)
    .map(([name, value]) => [name, annotations[`${ANNOTATION_PREFIX}${name}`] || value] as const)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}=${value}`)
    .join(',')
}

/** Tag, digest or `tag@digest` of an image; empty when it has neither. */
function imageVersion(image = ''): string {
  const [reference = '', digest] = image.split('@')
  const tag = /:([^:/]+)$/.exec(reference)?.[1] ?? ''
  return [tag, digest ?? ''].filter((part) => part !== '').join('@')
}
