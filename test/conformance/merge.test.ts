import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { overlaid } from '../../core/inject/overrides.ts'
import { mergePod } from '../../core/inject/strategic-merge.ts'
import { POD_TYPES } from '../../core/inject/pod-fields.ts'
import { prepareOverlay } from '../../core/inject/template-fill.ts'
import { printTyped, readTyped } from '../../core/inject/typed.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import type { Pod } from '../../core/k8s.ts'
import { Refusal, type Read } from '../../core/problem.ts'
import { readYaml } from '../../core/yaml.ts'
import { folder, needData, readTable } from './table.ts'

type Case = {
  readonly name: string
  readonly kind: 'template-overlay' | 'container-override' | 'init-override'
  readonly pod: Pod & JsonObject
  readonly overlayYAML?: string
  readonly container?: JsonObject
  readonly want?: JsonObject
  readonly error?: string
}

const cases = join(folder, 'merge')

t.test('merges as recorded', needData(), async (t) => {
  const files = existsSync(cases) ? readdirSync(cases) : []
  t.ok(files.length > 0, 'there are cases')
  for (const file of files.filter((name) => name.endsWith('.json'))) {
    const each = JSON.parse(readFileSync(join(cases, file), 'utf8')) as Case
    const frozen = JSON.stringify(each.pod)
    const got = merge(each)
    t.equal(JSON.stringify(each.pod), frozen, `${each.name}: the input is not mutated`)
    if (each.want === undefined) t.equal(got.ok, false, `${each.name}: refused`)
    else t.strictSame(got, { ok: true, value: asGoPrints(each.want) }, each.name)
    if (!got.ok) for (const { path, want } of got.problems) t.ok(path !== '' && want !== '')
  }
})

/** Both sides as Go prints pods: empty fields and key order do not count then. */
function asGoPrints(pod: JsonObject): JsonObject {
  return JSON.parse(printTyped('Pod', pod)) as JsonObject
}

function merge({ kind, pod, overlayYAML, container }: Case): Read<JsonObject> {
  try {
    const overlay =
      kind === 'template-overlay'
        ? overlayOf(overlayYAML ?? '')
        : containerOverlay(kind === 'init-override' ? 'initContainers' : 'containers', container)
    return overlay.ok ? { ok: true, value: asGoPrints(mergePod(pod, overlay.value)) } : overlay
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, problems: error.problems }
    throw error
  }
}

function overlayOf(yaml: string): Read<JsonObject> {
  const read = yaml.trim() === '' ? { ok: true as const, value: null } : readYaml('overlay', yaml)
  if (!read.ok) return read
  const overlay = prepareOverlay('overlay', read.value ?? {}, POD_TYPES.Pod)([])
  return { ok: true, value: isObject(overlay) ? overlay : {} }
}

function containerOverlay(list: string, container: JsonObject | undefined): Read<JsonObject> {
  const read = readTyped('Container', 'container', container)
  return read.ok ? { ok: true, value: { spec: { [list]: [read.value] } } } : read
}

t.test('templates one after another, as recorded', needData(), async (t) => {
  type Row = {
    readonly name: string
    readonly templates: Readonly<Record<string, string>>
    readonly aliases: Readonly<Record<string, readonly string[]>>
    readonly defaultTemplates: readonly string[]
    readonly input: string
    readonly expected: string
  }
  for (const row of readTable<Row>('templates')) {
    const input = yamlPod(row.input)
    const expected = yamlPod(row.expected)
    const asked = input.metadata?.annotations?.['inject.istio.io/templates']?.split(',')
    const names = (asked ?? row.defaultTemplates).flatMap((name) => row.aliases[name] ?? [name])
    const overlays = names.map((name) => {
      const overlay = overlayOf(row.templates[name] ?? '')
      if (!overlay.ok) throw new Refusal(overlay.problems)
      return overlay.value
    })
    const got = overlaid(input, overlays, { isTproxy: false })
    if (!got.ok) throw new Refusal(got.problems)
    const containers = (pod: Pod) =>
      [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]
        .map(({ name, image }) => `${name} ${image ?? ''}`)
        .sort()
    t.strictSame(containers(got.value.merged), containers(expected), `${row.name}: containers`)
    const labels = got.value.merged.metadata?.labels
    t.strictSame(labels, expected.metadata?.labels, `${row.name}: labels`)
  }
})

function yamlPod(text: string): Pod {
  const read = readYaml('pod', text)
  if (!read.ok) throw new Refusal(read.problems)
  return read.value as unknown as Pod
}
