import { INIT_CONTAINER, PROXY_CONTAINER, VALIDATION_CONTAINER } from '../../constants.ts'
import type { Pod, StringMap } from '../../k8s.ts'
import type { Finding } from '../model.ts'
import { policyOf, type Mode } from './level.ts'
import { violationsOf, type Violation } from './violations.ts'

/** What the namespace's Pod Security levels say about an injected pod, which stood at `path` before. */
export function findPodSecurity(
  before: Pod,
  pod: Pod,
  namespaceLabels: StringMap,
  path: string,
): readonly Finding[] {
  const enforced = violated(pod, namespaceLabels, 'enforce')
  const refused = enforced.flatMap((violation) => refusals(violation, path))
  const known = new Set(enforced.map(({ reason }) => reason))
  const told = (['warn', 'audit'] as const).flatMap((mode) =>
    violated(pod, namespaceLabels, mode)
      .filter(({ reason }) => !known.has(reason) && known.add(reason))
      .map((violation): Finding => {
        const want = `pods that meet ${mode}=${namespaceLabels[labelOf(mode)] ?? ''}`
        return { code: 'SI0503', path: `${path}/spec`, got: printViolation(violation), want }
      }),
  )
  return [...refused, ...told]

  function refusals(violation: Violation, at: string): readonly Finding[] {
    const want = `pods that meet enforce=${namespaceLabels[labelOf('enforce')] ?? ''}`
    const ours = violation.containers.filter(({ name }) => INJECTED.includes(name))
    const theirs = violation.containers.filter(({ name }) => !INJECTED.includes(name))
    const findings: Finding[] = []
    const place = `${at}/spec`
    if (ours.length > 0) {
      const got = printViolation({ ...violation, pod: [], containers: ours })
      findings.push({ code: 'SI0501', path: place, got, want })
    }
    if (theirs.length + violation.pod.length > 0) {
      const got = printViolation({ ...violation, containers: theirs })
      findings.push({
        code: 'SI0502',
        path: place + blamed(before, violation.pod, theirs),
        got,
        want,
      })
    }
    return findings
  }
}

/** The first container that is to blame, unless the pod as a whole is. */
function blamed(
  { spec }: Pod,
  whole: Violation['pod'],
  containers: Violation['containers'],
): string {
  if (whole.length > 0) return ''
  const names = containers.map(({ name }) => name)
  for (const list of ['containers', 'initContainers'] as const) {
    const index = (spec?.[list] ?? []).findIndex(({ name }) => names.includes(name))
    if (index >= 0) return `/${list}/${index}`
  }
  return ''
}

const INJECTED = [INIT_CONTAINER, VALIDATION_CONTAINER, PROXY_CONTAINER]

function violated(pod: Pod, labels: StringMap, mode: Mode): readonly Violation[] {
  const policy = policyOf(labels, mode)
  return policy === undefined ? [] : violationsOf(pod, policy)
}

function labelOf(mode: Mode): string {
  return `pod-security.kubernetes.io/${mode}`
}

function printViolation({ reason, pod, containers }: Violation): string {
  const parts = containers.map(({ name, said }) => `${name}: ${said.join(', ')}`)
  return `${reason} (${[...(pod.length > 0 ? [`pod: ${pod.join(', ')}`] : []), ...parts].join('; ')})`
}
