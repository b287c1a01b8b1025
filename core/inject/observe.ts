/**
 * What may be watched of an injection: who asks why is told every step of one run. Nobody asks on the hot
 * path, where the hook is absent.
 */
import type { Pod } from '../k8s.ts'
import type { ContextInput } from './context.ts'
import type { TemplateContext } from './context-schema.ts'
import type { InjectionPolicy, PodFacts } from './decide.ts'
import type { Facts } from './facts.ts'
import type { Lookups } from './template-program.ts'

/** Told of each step as it is taken. */
export type Observe = (step: Step) => void

/** One step: what was asked, what templates saw, or the pod as a stage left it. */
export type Step =
  | { readonly stage: 'decide'; readonly facts: PodFacts; readonly policy: InjectionPolicy }
  | { readonly stage: 'facts'; readonly facts: Facts }
  /** May come twice (see renderOverlays): the last one counts. */
  | {
      readonly stage: 'context'
      readonly input: ContextInput
      readonly context: TemplateContext
      readonly lookups: Lookups
    }
  | { readonly stage: 'template'; readonly pod: Pod; readonly index: number }
  | { readonly stage: PlainStage; readonly pod: Pod }

/** The stages that change a pod, in their order; `template` comes once for each template. */
export type Stage = 'template' | PlainStage

type PlainStage = keyof typeof STAGES

/** What each stage does, in words. */
export const STAGES = {
  start: 'the pod as it came',
  'assigned-ids': 'users that the platform had assigned to istio-proxy are taken out',
  'old-plan': 'a redirect plan that came with the pod is taken out: only injection writes one',
  'repeated-envs': 'of variables with one name in a container the last one stays',
  settled: 'containers with names of the templates stand in the list where those put them',
  'volume-sources': 'a volume that the pod has already keeps its kind',
  'own-container': "the pod's own container wins over the template",
  remembered: "the pod's own container is remembered for a later injection",
  'own-user': "the user of the pod's own istio-proxy goes to those who must know it",
  'earlier-envs': 'what an earlier injection wrote stays',
  location: 'cluster and network of the pod are told to the proxy',
  metrics: 'metrics of the application are merged with those of the proxy',
  probes: 'checks of the kubelet go to the agent',
  'env-order': 'variables stand as an earlier injection ordered them',
  status: 'what was injected is written down',
  'configured-annotations': 'the configuration adds annotations to every pod',
  order: 'containers are put into starting order',
  'redirect-plan': 'what the node needs to redirect traffic is written down',
  fitting: 'amounts, privileges and labels are made to fit what the API takes',
} as const
