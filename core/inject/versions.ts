import { PROBES_1_8, PROBES_CURRENT, type ProbeDialect } from './probe-table.ts'
import { PROMETHEUS_1_8, PROMETHEUS_CURRENT, type PrometheusDialect } from './prometheus.ts'
import { STATUS_1_8, STATUS_CURRENT, type StatusDialect } from './status.ts'
import type { IstioVersion } from './values.ts'

/**
 * What differs between the Istio lines besides templates, values and mesh defaults. One row a
 * line; the pipeline asks these, never the version itself.
 */
export type VersionTraits = {
  /** The init container takes `--log_output_level` and the switches behind it. */
  readonly hasInitLogLevel: boolean
  /** The proxy can be an init container with restartPolicy Always. */
  readonly canBeNative: boolean
  /** Worker threads come from CPU limit or request when ProxyConfig sets none. */
  readonly countsConcurrency: boolean
  /** Group of mounted files that is set on the pod, whatever the pod says. */
  readonly forcedFsGroup: number | undefined
  readonly probes: ProbeDialect
  readonly prometheus: PrometheusDialect
  readonly status: StatusDialect
}

/** Facts of Istio 1.8.1, 1.17.8 and the current line. */
export const VERSION_TRAITS: Readonly<Record<IstioVersion, VersionTraits>> = {
  current: {
    hasInitLogLevel: true,
    canBeNative: true,
    countsConcurrency: false,
    forcedFsGroup: undefined,
    probes: PROBES_CURRENT,
    prometheus: PROMETHEUS_CURRENT,
    status: STATUS_CURRENT,
  },
  '1.17': {
    hasInitLogLevel: true,
    canBeNative: false,
    countsConcurrency: true,
    forcedFsGroup: undefined,
    probes: PROBES_CURRENT,
    prometheus: PROMETHEUS_CURRENT,
    status: STATUS_CURRENT,
  },
  '1.8': {
    hasInitLogLevel: false,
    canBeNative: false,
    countsConcurrency: true,
    forcedFsGroup: 1337,
    probes: PROBES_1_8,
    prometheus: PROMETHEUS_1_8,
    status: STATUS_1_8,
  },
}
