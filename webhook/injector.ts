import type { Source } from '../core/inject/config.ts'
import type { Decision, InjectRequest } from '../core/inject/decision.ts'
import type { Read } from '../core/problem.ts'

/**
 * The injection with one snapshot of its configuration. That it throws is a fault of ours; what is
 * wrong with the pod is part of the decision.
 */
export type Inject<Config> = (request: InjectRequest, config: Config) => Decision

/** The configuration files that were given; what is absent is built in. */
export type Sources = {
  readonly mesh?: Source
  readonly values?: Source
  readonly injectConfig?: Source
  readonly valuesOverlay?: Source
}

/** Reads the texts of the configuration; what they are refused for names file, line and column. */
export type ReadConfig<Config> = (sources: Sources) => Read<Config>
