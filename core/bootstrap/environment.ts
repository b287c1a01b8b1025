import type { Container, EnvVar, Pod, StringMap } from '../k8s.ts'

/** What a container's environment holds once the pod runs, as far as its manifest tells. */
export function environmentOf(pod: Pod, container: Container): StringMap {
  const known = new Map<string, string>()
  for (const env of container.env ?? []) {
    const value = env.value === undefined ? referred(pod, env) : expand(env.value, known)
    if (value !== undefined) known.set(env.name, value)
  }
  return Object.fromEntries(known)
}

/** `$(NAME)` replaced by what is known of it, as the kubelet does; `$$` is one dollar. */
export function expand(text: string, known: ReadonlyMap<string, string>): string {
  return text.replace(/\$\$|\$\(([^)]*)\)/g, (found, name?: string) => {
    if (name === undefined) return '$'
    return known.get(name) ?? found
  })
}

/** Amounts of resources are left out: nothing of a bootstrap comes from them. */
function referred(pod: Pod, { valueFrom }: EnvVar): string | undefined {
  const path = valueFrom?.fieldRef?.fieldPath
  return path === undefined ? undefined : fieldOf(pod, path)
}

/** The fields that the downward API can name and a manifest knows. */
function fieldOf({ metadata, spec, status }: Pod, path: string): string | undefined {
  const [, map, key = ''] = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(path) ?? []
  if (map === 'labels') return metadata?.labels?.[key]
  if (map === 'annotations') return metadata?.annotations?.[key]
  const fields: StringMap = {
    'metadata.name': metadata?.name ?? '',
    'metadata.namespace': metadata?.namespace ?? '',
    'metadata.uid': metadata?.uid ?? '',
    'spec.serviceAccountName': spec?.serviceAccountName ?? '',
    'spec.nodeName': spec?.nodeName ?? '',
    'status.podIP': status?.podIP ?? '',
    'status.hostIP': status?.hostIP ?? '',
  }
  return fields[path] === '' ? undefined : fields[path]
}
