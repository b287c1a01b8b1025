/** Annotations that were changed after injection: rules are written once, when the pod starts. */
import { INTERCEPTION_MODE_ANNOTATION } from '../constants.ts'
import { isSame } from '../json.ts'
import { readArgv } from '../options/argv.ts'
import type { InterceptionOptions } from '../options/interception.ts'
import type { PortRange } from '../ports.ts'
import type { Asked } from './asked.ts'

/** Annotation, the flag that carries its text into the pod's container, and the setting that this is. */
const ROWS = [
  [INTERCEPTION_MODE_ANNOTATION, '-m', 'mode'],
  ['traffic.sidecar.istio.io/includeInboundPorts', '-b', 'inboundPorts'],
  ['traffic.sidecar.istio.io/excludeInboundPorts', '-d', 'excludeInboundPorts'],
  ['traffic.sidecar.istio.io/includeOutboundPorts', '-q', 'includeOutboundPorts'],
  ['traffic.sidecar.istio.io/excludeOutboundPorts', '-o', 'excludeOutboundPorts'],
  ['traffic.sidecar.istio.io/includeOutboundIPRanges', '-i', 'includeOutboundCidrs'],
  ['traffic.sidecar.istio.io/excludeOutboundIPRanges', '-x', 'excludeOutboundCidrs'],
  ['traffic.sidecar.istio.io/excludeInterfaces', '-c', 'excludeInterfaces'],
] as const satisfies readonly (readonly [string, string, keyof InterceptionOptions])[]

/** The annotations whose text says something else than what the pod was injected with. */
export function lateAnnotations({
  annotations,
  rules,
}: Asked): readonly (readonly [string, string])[] {
  if (rules === undefined) return []
  return annotations.filter(([key, text]) => {
    const row = ROWS.find(([one]) => one === key)
    if (row === undefined) return false
    const [, flag, field] = row
    const read = readArgv([flag, text], {})
    if (!read.ok) return true
    const { options } = read.value
    // Injection adds ports of its own to this list.
    return field === 'excludeInboundPorts'
      ? !isWithin(options[field], rules.options[field])
      : !isSame(options[field], rules.options[field])
  })
}

function isWithin(some: readonly PortRange[], all: readonly PortRange[]): boolean {
  return some.every((one) => all.some(({ first, last }) => first <= one.first && one.last <= last))
}
