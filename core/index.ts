/** The injection core as a library: pure functions, values in and values out. */
export {
  readInjectConfig,
  type ConfigSources,
  type InjectConfig,
  type Source,
} from './inject/config.ts'
export { decide, DECISIONS, type Reason, type Verdict } from './inject/decide.ts'
export type { Decision, InjectRequest } from './inject/decision.ts'
export { injectPod } from './inject/inject.ts'
export { ownerOf, type Owner } from './inject/owner.ts'
export { applyPatch, diff, type Operation } from './inject/patch.ts'
export type { IstioVersion } from './inject/values.ts'
export type { Json, JsonObject } from './json.ts'
export { ANNOTATIONS, checkAnnotations } from './options/annotations.ts'
export { readArgv } from './options/argv.ts'
export type { InterceptionOptions } from './options/interception.ts'
export { formatProblem, Refusal, type Problem, type Read } from './problem.ts'
export { buildPlan, type RuleLook } from './rules/build.ts'
export { printRestore, stepsFor } from './rules/iptables.ts'
export { loadFamily } from './rules/load.ts'
export type { Plan, Rule, RuleSet } from './rules/model.ts'
export { printNftables } from './rules/nftables.ts'
export { readRestore } from './rules/read-iptables.ts'
export { readSite, type HostFacts } from './rules/site.ts'
export { trace, type Packet, type Trace } from './rules/trace.ts'
export { printYaml, readYaml } from './yaml.ts'
