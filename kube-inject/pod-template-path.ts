import { bad, good, type Read } from '../core/problem.ts'
import type { Workload } from './workloads.ts'

/** Kinds of well-known projects that keep pods, by the name of the project. */
export const PRESETS: Readonly<Record<string, readonly Workload[]>> = {
  argo: [{ group: 'argoproj.io', kind: 'Rollout', template: ['spec', 'template'] }],
  knative: [
    { group: 'serving.knative.dev', kind: 'Service', template: ['spec', 'template'] },
    { group: 'serving.knative.dev', kind: 'Configuration', template: ['spec', 'template'] },
  ],
  openkruise: [
    { group: 'apps.kruise.io', kind: 'CloneSet', template: ['spec', 'template'] },
    { group: 'apps.kruise.io', kind: 'StatefulSet', template: ['spec', 'template'] },
    { group: 'apps.kruise.io', kind: 'DaemonSet', template: ['spec', 'template'] },
    { group: 'apps.kruise.io', kind: 'BroadcastJob', template: ['spec', 'template'] },
    {
      group: 'apps.kruise.io',
      kind: 'AdvancedCronJob',
      template: ['spec', 'template', 'jobTemplate', 'spec', 'template'],
    },
  ],
  volcano: [
    { group: 'batch.volcano.sh', kind: 'Job', template: ['spec', 'tasks', '*', 'template'] },
  ],
}

/**
 * Reads `Kind.group=/path/of/template` (a JSON Pointer in which `*` is every item
 * of a list; no group for the core one), or the name of a preset.
 */
export function readWorkload(text: string): Read<readonly Workload[]> {
  const preset = Object.hasOwn(PRESETS, text) ? PRESETS[text] : undefined
  if (preset !== undefined) return good(preset)
  const found =
    /^([A-Z][A-Za-z0-9]*)(?:\.([a-z0-9](?:[-a-z0-9.]*[a-z0-9])?))?=((?:\/[^/]+)+)$/.exec(text)
  const [, kind = '', group = '', path = ''] = found ?? []
  if (found === null) {
    const want = `Kind.group=/path/of/template, or one of ${Object.keys(PRESETS).join(', ')}`
    return bad('--pod-template-path', text, want)
  }
  const template = path
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  return good([{ group, kind, template }])
}
