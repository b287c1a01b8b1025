/**
 * What templates bring of themselves: pods that say nothing of their own are injected, by what the operator
 * gave, and looked at like any other.
 */
import type { JsonObject } from '../json.ts'
import type { InjectConfig } from './config.ts'
import type { Decision, InjectRequest } from './decision.ts'
import { findStrange, type Strange } from './fence-find.ts'
import type { Declaration } from './fence-declaration.ts'
import { TEMPLATES_ANNOTATION } from '../constants.ts'
import { readUserJson } from './user-json.ts'

/** Injection without the fence, with the same configuration. */
export type Rehearse = (request: InjectRequest) => Decision

/** What is looked at: templates by name, with what they declare together. */
export type Templates = {
  readonly names: readonly string[]
  readonly declaration: Declaration
  readonly isForeign: boolean
}

/** The configuration as a rehearsal needs it: names of templates stand for themselves, nothing is refused. */
export function unfenced(config: InjectConfig): InjectConfig {
  return { ...config, isFenced: false, aliases: {} }
}

/** Everything undeclared in pods that ask for nothing but what Istio's own annotations give. */
export function rehearsed(set: Templates, rehearse: Rehearse): readonly Strange[] {
  return SAMPLES.flatMap(({ pod, kind, nativeSidecars }) => {
    const metadata = {
      annotations: { ...pod.annotations, [TEMPLATES_ANNOTATION]: set.names.join() },
    }
    const decision = rehearse({
      pod: { metadata, spec: { containers: pod.containers } },
      owner: { name: NAME, namespace: NAME, kind, apiVersion: 'v1' },
      nativeSidecars,
      door: 'kube-inject',
      proxyEnvs: {},
    })
    if (decision.kind !== 'inject') return []
    const user = readUserJson(pod.annotations)
    return findStrange({
      ...set,
      before: decision.before,
      after: decision.pod,
      user: user.ok ? user.value : { volumes: [], mounts: [] },
    })
  })
}

const NAME = 'plain'
const KINDS = ['Pod', 'Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet', 'Job', 'CronJob']
const APP: JsonObject = { name: 'app', image: 'app' }
const OWN_PROXY: JsonObject = { name: 'istio-proxy', image: 'auto' }

/** Annotations of Istio that its own templates answer with more than other values. */
const ASKING = [
  { 'sidecar.istio.io/interceptionMode': 'TPROXY', 'sidecar.istio.io/capNetBindService': 'true' },
  { 'sidecar.istio.io/bootstrapOverride': NAME },
  {
    'sidecar.istio.io/userVolume': '{"plain":{"emptyDir":{}}}',
    'sidecar.istio.io/userVolumeMount': '{"plain":{"mountPath":"/plain"}}',
  },
]

const SAMPLES = [false, true].flatMap((nativeSidecars) => [
  ...KINDS.map((kind) => ({ pod: { containers: [APP], annotations: {} }, kind, nativeSidecars })),
  ...[...ASKING, {}].map((annotations) => ({
    pod: { containers: [APP, OWN_PROXY], annotations },
    kind: 'Deployment',
    nativeSidecars,
  })),
  ...ASKING.map((annotations) => ({
    pod: { containers: [APP], annotations },
    kind: 'Deployment',
    nativeSidecars,
  })),
])
