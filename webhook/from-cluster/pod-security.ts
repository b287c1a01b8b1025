import { watchObjects } from '../../cluster/watch.ts'
import { isObject } from '../../core/json.ts'
import type { Part } from '../part.ts'
import { strictLevelOf, type StrictNamespaces } from '../pod-security.ts'
import { partOf, watchedBy, type ClusterDeps } from './watched.ts'

/** The namespaces that forbid what the init container needs. Nobody waits for them: they only explain. */
export function watchPodSecurity(deps: ClusterDeps): Part<StrictNamespaces> {
  const watch = watchObjects(deps.api, {
    path: '/api/v1/namespaces',
    keep: ({ metadata }) => (isObject(metadata) ? strictLevelOf(metadata) : undefined),
    ...watchedBy(deps, 'pod-security'),
  })
  const part = partOf(
    'pod-security',
    watch,
    (levels) => levels,
    ({ size }) => `${size} namespaces enforce a level that refuses NET_ADMIN`,
  )
  return { ...part, check: () => ({ ...part.check(), isReady: true }) }
}
