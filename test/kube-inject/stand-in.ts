import type { Decision, InjectRequest } from '../../core/inject/decision.ts'
import { isPod } from '../../core/inject/pod-shape.ts'
import { isArray, isObject, type Json, type JsonObject } from '../../core/json.ts'

/**
 * Stands in for the injection: adds a label, an annotation, an init container in front, a container
 * behind and a volume; leaves pods with the label `skip` alone and refuses those with `refuse`.
 */
export function standIn({ pod }: InjectRequest): Decision {
  if (!isObject(pod) || !isPod(pod)) throw new Error('no pod')
  const before: JsonObject = pod
  const metadata = mapAt(before, 'metadata')
  const spec = mapAt(before, 'spec')
  const labels = mapAt(metadata, 'labels')
  if (labels['skip'] !== undefined) {
    const evidence = { path: 'label skip', got: 'yes' }
    const sentence = 'the label says no'
    return { kind: 'skip', reason: 'label-opt-out', sentence, evidence, warnings: [] }
  }
  if (labels['refuse'] !== undefined) {
    const problem = { path: '/metadata/labels/refuse', got: 'yes', want: 'nothing' }
    return { kind: 'reject', problems: [problem], warnings: ['refused'] }
  }
  const after: unknown = {
    ...before,
    metadata: {
      ...metadata,
      labels: { ...labels, mesh: 'on' },
      annotations: { ...mapAt(metadata, 'annotations'), injected: 'yes' },
    },
    spec: {
      ...spec,
      initContainers: [{ name: 'init' }, ...listAt(spec, 'initContainers')],
      containers: [...listAt(spec, 'containers'), { name: 'proxy', args: ['*', '--a=b'] }],
      volumes: [...listAt(spec, 'volumes'), { name: 'certs', emptyDir: { medium: 'Memory' } }],
    },
  }
  if (!isPod(after)) throw new Error('no pod')
  return {
    kind: 'inject',
    reason: 'policy-enabled',
    sentence: 'everything is injected',
    evidence: { path: 'policy', got: 'enabled' },
    before: pod,
    pod: after,
    templates: [],
    warnings: [],
  }
}

function mapAt(object: JsonObject, key: string): JsonObject {
  const value = object[key]
  return isObject(value) ? value : {}
}

function listAt(object: JsonObject, key: string): readonly Json[] {
  const value = object[key]
  return isArray(value) ? value : []
}
