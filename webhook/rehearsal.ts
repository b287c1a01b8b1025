import { INJECT_KEY } from '../core/constants.ts'
import type { InjectRequest } from '../core/inject/decision.ts'
import type { Problem } from '../core/problem.ts'
import type { Inject, ReadConfig, Sources } from './injector.ts'

/**
 * Reads a configuration and injects a plain pod with it, so that a template which reads well but
 * breaks on every pod is refused when it comes and not when pods do. It also takes the slowness of
 * a first time away from the first pod.
 */
export function rehearsed<Config>(
  read: ReadConfig<Config>,
  inject: Inject<Config>,
): ReadConfig<Config> {
  return (sources) => {
    const config = read(sources)
    if (!config.ok) return config
    const problems = [false, true].flatMap((nativeSidecars) => {
      return rehearse(inject, config.value, nativeSidecars, sources)
    })
    return problems.length === 0 ? config : { ok: false, problems }
  }
}

function rehearse<Config>(
  inject: Inject<Config>,
  config: Config,
  nativeSidecars: boolean,
  sources: Sources,
): readonly Problem[] {
  const path = sources.injectConfig?.path ?? sources.values?.path ?? 'configuration'
  const want = `a configuration that injects a plain pod${nativeSidecars ? ', native' : ''}`
  try {
    const decision = inject(requestFor(nativeSidecars), config)
    if (decision.kind !== 'reject') return []
    return decision.problems.map((problem) => ({
      path,
      got: `${problem.path}: ${problem.got}`,
      want,
    }))
  } catch (error) {
    return [{ path, got: error instanceof Error ? error.message : String(error), want }]
  }
}

function requestFor(nativeSidecars: boolean): InjectRequest {
  return {
    pod: {
      metadata: { name: 'rehearsal', labels: { [INJECT_KEY]: 'true' } },
      spec: { containers: [{ name: 'app', image: 'app', ports: [{ containerPort: 80 }] }] },
    },
    namespace: 'default',
    owner: { apiVersion: 'v1', kind: 'Pod', name: 'rehearsal', namespace: 'default' },
    nativeSidecars,
    door: 'webhook',
    proxyEnvs: {},
  }
}
