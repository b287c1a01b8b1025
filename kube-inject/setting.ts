import type { InjectConfig } from '../core/inject/config.ts'
import { injectPod } from '../core/inject/inject.ts'
import { isNative, type Configs } from './config.ts'
import type { Inject, Setting } from './inject-document.ts'
import { WORKLOADS, type Workload } from './workloads.ts'

/** What is asked for besides a configuration. */
export type Asked = {
  /** Kinds that hold pods, before those of Kubernetes. */
  readonly workloads: readonly Workload[]
  readonly isWayBack: boolean
  readonly namespace: string | undefined
}

/** What all documents of one run have in common. */
export function settingOf(
  { today, earlier }: Configs,
  environment: Readonly<Record<string, string | undefined>>,
  { workloads, isWayBack, namespace }: Asked,
): Setting {
  return {
    inject: injectorOf(today),
    previous: (version) => {
      const config = earlier(version)
      return config && injectorOf(config)
    },
    nativeSidecars: isNative(environment),
    workloads: [...workloads, ...WORKLOADS],
    isWayBack,
    ...(namespace === undefined ? {} : { namespace }),
  }
}

function injectorOf(config: InjectConfig): Inject {
  return (request) => injectPod(request, config)
}
