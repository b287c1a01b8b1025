import t from 'tap'
import { checkAnnotations } from '../../core/options/annotations.ts'
import { formatProblem } from '../../core/problem.ts'
import { needData, readTable } from './table.ts'

type Row = { readonly annotation: string; readonly value: string; readonly ok: boolean }

const amounts = ['proxyCPU', 'proxyCPULimit', 'proxyMemory', 'proxyMemoryLimit']

/** Where we refuse what Istio's own check lets pass: docs/divergences.md says why. */
const stricter: Readonly<Record<string, (value: string) => boolean>> = {
  'traffic.sidecar.istio.io/includeOutboundPorts': (value) => !/^[\d\s,:-]*$/.test(value),
  'sidecar.istio.io/userVolume': (value) => !value.trim().startsWith('{'),
  'sidecar.istio.io/userVolumeMount': (value) => !value.trim().startsWith('{'),
  'sidecar.istio.io/bootstrapOverride': (value) => value === '',
  'sidecar.istio.io/proxyImage': (value) => value.trim() !== value,
  'sidecar.istio.io/proxyImageType': (value) => !/^[\w.-]*$/.test(value),
  'proxy.istio.io/overrides': (value) => !value.trim().startsWith('{'),
  ...Object.fromEntries(
    amounts.map((name) => [`sidecar.istio.io/${name}`, (value: string) => value.startsWith('-')]),
  ),
}

t.test('annotation texts as recorded', needData(), async (t) => {
  let refusedByUs = 0
  for (const { annotation, value, ok } of readTable<Row>('../annotations')) {
    const problems = checkAnnotations({ [annotation]: value })
    const shown = `${annotation}: ${JSON.stringify(value)}`
    const isStricter = ok && problems.length > 0 && stricter[annotation]?.(value) === true
    if (isStricter) refusedByUs++
    else t.equal(problems.length === 0, ok, `${shown} ${problems.map(formatProblem).join('; ')}`)
    for (const { path, want } of problems) {
      t.ok(path.startsWith(annotation) && want !== '', `${shown}: told well`)
    }
  }
  t.comment(`${refusedByUs} texts refused that Istio's check lets pass`)
})

t.test('annotations of a pod as recorded', needData(), async (t) => {
  type Pods = {
    readonly name: string
    readonly annotations: Record<string, string>
    readonly ok: boolean
  }
  for (const { name, annotations, ok } of readTable<Pods>('validate-annotations')) {
    t.equal(checkAnnotations(annotations).length === 0, ok, name)
  }
})
