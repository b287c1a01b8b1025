import { PROXY_CONTAINER } from '../constants.ts'
import { containersIn } from '../inject/order.ts'
import { byName, type Pod } from '../k8s.ts'
import type { Finding, Subject } from './model.ts'

/** Path on the agent's status port that ends the proxy. */
const QUIT = 'quitquitquit'

/** Jobs whose injected pod keeps a proxy that nobody ends. */
export function findInJob(
  { group, kind }: Subject,
  before: Pod,
  after: Pod,
  path: string,
): readonly Finding[] {
  if (group !== 'batch' || (kind !== 'Job' && kind !== 'CronJob')) return []
  if (byName(after.spec?.containers, PROXY_CONTAINER) === undefined) return []
  const isEnded = containersIn(before, 'containers').some(({ command, args, lifecycle }) =>
    [...(command ?? []), ...(args ?? []), JSON.stringify(lifecycle ?? {})].some((text) =>
      text.includes(QUIT),
    ),
  )
  if (isEnded) return []
  const got = `${PROXY_CONTAINER} as a regular container`
  const want = 'a native sidecar, or a call that ends it'
  return [{ code: 'SI0410', path: `${path}/spec`, got, want }]
}
