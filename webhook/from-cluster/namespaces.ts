import { watchObjects } from '../../cluster/watch.ts'
import { isObject } from '../../core/json.ts'
import { annotationsOf, type Namespaces } from '../namespaces.ts'
import type { Part } from '../part.ts'
import { partOf, watchedBy, type ClusterDeps } from './watched.ts'

/** The annotations of all namespaces. */
export function watchNamespaces(deps: ClusterDeps): Part<Namespaces> {
  const watch = watchObjects(deps.api, {
    path: '/api/v1/namespaces',
    keep: ({ metadata }) => (isObject(metadata) ? annotationsOf(metadata) : undefined),
    ...watchedBy(deps, 'namespaces'),
  })
  return partOf(
    'namespaces',
    watch,
    (namespaces) => namespaces,
    ({ size }) => `${size} known`,
  )
}
