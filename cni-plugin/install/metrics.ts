import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import type { Passed, Step } from './pass.ts'
import { StepFailed } from './pass.ts'

/** What became of a run of the plugin, as its log says. */
export type PluginRun = { readonly command: string; readonly result: string }

/** The agent's metrics. Repair puts its own into the same registry. */
export type Metrics = {
  readonly registry: Registry
  /** Counts one pass that changed something or failed, and shows whether the node is ready. */
  readonly passed: (outcome: Passed | Error) => void
  readonly ready: (isReady: boolean) => void
  readonly pluginRan: (run: PluginRun) => void
}

/** Results of a pass, as Istio names them. */
const RESULTS: Readonly<Record<Step, string>> = {
  binary: 'COPY_BINARIES_FAILURE',
  kubeconfig: 'CREATE_KUBECONFIG_FAILURE',
  config: 'CREATE_CNI_CONFIG_FAILURE',
}

/** Makes the metrics, in a registry of their own. */
export function makeMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const installs = new Counter({
    name: 'sidecar_cni_installs_total',
    help: 'Passes that changed the configuration of the node, and those that failed, by result.',
    labelNames: ['result'],
    registers,
  })
  const ready = new Gauge({
    name: 'sidecar_cni_install_ready',
    help: '1 while the active configuration has our entry and the executable answers.',
    registers,
  })
  const runs = new Counter({
    name: 'sidecar_cni_plugin_requests_total',
    help: 'Runs of the plugin on this node, by command and result, as its log told.',
    labelNames: ['command', 'result'],
    registers,
  })
  let isFirst = true
  return {
    registry,
    passed: (outcome) => {
      if (outcome instanceof Error) {
        installs.inc({ result: outcome instanceof StepFailed ? RESULTS[outcome.step] : 'REFUSED' })
      } else if (outcome.kind === 'ready' && (isFirst || outcome.changes > 0)) {
        isFirst = false
        installs.inc({ result: 'SUCCESS' })
      }
    },
    ready: (isReady) => {
      ready.set(isReady ? 1 : 0)
    },
    pluginRan: ({ command, result }) => {
      runs.inc({ command, result })
    },
  }
}
