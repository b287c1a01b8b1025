/** An injected pod as its author wrote it, also where the sidecar was edited by hand since. */
import {
  OVERRIDES_ANNOTATION,
  REDIRECT_PLAN_ANNOTATION,
  STATUS_ANNOTATION,
  TEMPLATES_ANNOTATION,
} from '../core/constants.ts'
import { uninjectPod, type Reinject } from '../core/inject/uninject.ts'
import { isSame } from '../core/json.ts'
import type { Pod, StringMap } from '../core/k8s.ts'

/**
 * The pod without its injection, found with the configuration that it was injected with: a label or an
 * annotation is of the injection where the injection writes the very same. Undefined where the marks of the
 * injection are damaged.
 */
export function plainPod(injected: Pod, inject: Reinject): Pod | undefined {
  const read = uninjectPod(injected, inject)
  if (!read.ok || asksAgent(read.value.pod)) return undefined
  const { pod, isExact } = read.value
  if (isExact) return pod
  const written = inject(pod)
  const own = PLACES.reduce((plain, place) => {
    return withMap(plain, place, {
      ...edited(injected, plain, written, place),
      ...plain.metadata?.[place],
    })
  }, pod)
  return withoutReturning(own, inject)
}

/**
 * Pods that have as little in common with another one as can be, but the templates: what the configuration
 * writes for all of them does not come from the pod.
 */
export function strangers({ metadata }: Pod): readonly Pod[] {
  const templates = metadata?.annotations?.[TEMPLATES_ANNOTATION]
  const annotations = templates === undefined ? {} : { [TEMPLATES_ANNOTATION]: templates }
  const bare = {
    metadata: { name: 'bare', annotations },
    spec: { containers: [{ name: 'bare', image: 'bare' }] },
  }
  const rich = {
    metadata: {
      name: 'rich',
      labels: { app: 'rich', version: 'v9' },
      annotations: { ...annotations, 'prometheus.io/port': '9' },
    },
    spec: {
      containers: [
        {
          name: 'rich',
          image: 'rich',
          ports: [{ containerPort: 9, name: 'http' }],
          livenessProbe: { httpGet: { port: 9 } },
        },
      ],
    },
  }
  return [bare, rich]
}

const PLACES = ['labels', 'annotations'] as const
type Place = (typeof PLACES)[number]

const MARKS: readonly string[] = [STATUS_ANNOTATION, OVERRIDES_ANNOTATION, REDIRECT_PLAN_ANNOTATION]

/** What annotations about metrics begin with, in all their spellings. */
const METRICS = 'prometheus'

/** Checks that still ask the agent: whom they are meant for is no longer known. */
function asksAgent({ spec }: Pod): boolean {
  return JSON.stringify(spec ?? {}).includes('"/app-health/')
}

/** Keys that were taken for the injection's but have another value than it writes: the author's own. */
function edited(injected: Pod, plain: Pod, written: Pod | undefined, place: Place): StringMap {
  const entries = Object.entries(injected.metadata?.[place] ?? {}).filter(
    ([key, value]) =>
      !MARKS.includes(key) &&
      !key.startsWith(METRICS) &&
      plain.metadata?.[place]?.[key] === undefined &&
      written?.metadata?.[place]?.[key] !== value,
  )
  return Object.fromEntries(entries)
}

/** What Istio's templates set for all containers of a pod. */
const POD_SETTINGS = ['securityContext', 'dnsConfig'] as const

/** The pod without all that the injection writes by itself. */
function withoutReturning(pod: Pod, inject: Reinject): Pod {
  let plain = withoutMetrics(pod, inject)
  for (const place of PLACES) {
    for (const [key, value] of Object.entries(plain.metadata?.[place] ?? {})) {
      const { [key]: _, ...others } = plain.metadata?.[place] ?? {}
      const without = withMap(plain, place, others)
      if (inject(without)?.metadata?.[place]?.[key] === value) plain = without
    }
  }
  for (const name of POD_SETTINGS) {
    const { spec } = plain
    if (spec?.[name] === undefined) continue
    const { [name]: setting, ...others } = spec
    const without: Pod = { ...plain, spec: others }
    if (isSame(inject(without)?.spec?.[name], setting)) plain = without
  }
  return plain
}

/** The annotations of metrics are written together or not at all. */
function withoutMetrics(pod: Pod, inject: Reinject): Pod {
  const { annotations = {} } = pod.metadata ?? {}
  const [metrics, others] = [true, false].map((isMetrics) =>
    Object.entries(annotations).filter(([key]) => key.startsWith(METRICS) === isMetrics),
  )
  const without = withMap(pod, 'annotations', Object.fromEntries(others ?? []))
  const written = inject(without)?.metadata?.annotations
  return metrics?.every(([key, value]) => written?.[key] === value) === true ? without : pod
}

function withMap(pod: Pod, place: Place, map: StringMap): Pod {
  const { [place]: _, ...metadata } = pod.metadata ?? {}
  return Object.keys(map).length === 0
    ? { ...pod, metadata }
    : { ...pod, metadata: { ...metadata, [place]: map } }
}
