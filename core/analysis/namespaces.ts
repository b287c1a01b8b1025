import { DATAPLANE_LABEL, INJECTION_LABEL, ISTIO_REVISION_LABEL } from '../constants.ts'
import { IGNORED_NAMESPACES } from '../inject/decide.ts'
import { pointer } from '../inject/pod-shape.ts'
import { metadataOf, printLabels, type Finding, type Subject } from './model.ts'

/** What the labels of a namespace say about injection, where they say nothing, or too much. */
export function findInNamespace(
  subject: Subject,
  istioNamespace: string,
  isInjectedAnyway: boolean,
): readonly Finding[] {
  const { labels } = metadataOf(subject.value)
  if (IGNORED_NAMESPACES.includes(subject.name) || subject.name === istioNamespace) return []
  const injection = labels[INJECTION_LABEL]
  const revision = labels[ISTIO_REVISION_LABEL]
  const isAmbient = labels[DATAPLANE_LABEL] === 'ambient'
  const findings: Finding[] = []
  const say = (code: Finding['code'], label: string, want: string): void => {
    const got = `${label}=${labels[label] ?? ''}`
    findings.push({ code, path: `/metadata/labels${pointer(label)}`, got, want })
  }
  if (injection === undefined && revision === undefined && !isAmbient && !isInjectedAnyway) {
    const want = `${INJECTION_LABEL} or ${ISTIO_REVISION_LABEL}`
    findings.push({ code: 'SI0101', path: '/metadata', got: printLabels(labels), want })
  }
  if (injection !== undefined && revision !== undefined) {
    say(
      'SI0102',
      ISTIO_REVISION_LABEL,
      `one label, for ${INJECTION_LABEL}=${injection} is there too`,
    )
  }
  const isOn = injection === 'enabled' || (injection === undefined && revision !== undefined)
  if (isAmbient && isOn) say('SI0103', DATAPLANE_LABEL, 'sidecars or ambient mode, one of the two')
  if (injection !== undefined && injection !== 'enabled' && injection !== 'disabled') {
    say('SI0104', INJECTION_LABEL, 'enabled or disabled')
  }
  return findings
}
