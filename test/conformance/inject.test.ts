/** Istio's own injection suite: every case through kube-inject and, record by record, through the webhook's answer. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { injectPod } from '../../core/inject/inject.ts'
import { applyPatch, type Operation } from '../../core/inject/patch.ts'
import { isArray, isObject, type Json, type JsonObject } from '../../core/json.ts'
import { Refusal } from '../../core/problem.ts'
import { parseDocuments } from '../../core/yaml.ts'
import { answerReview } from '../../webhook/answer.ts'
import { injectText } from '../support/inject-text.ts'
import { normal } from '../support/normal.ts'
import { configFor, type Case, type Recorded } from './cases.ts'
import { folder, needData } from './table.ts'

/** Needs whose cases are answered otherwise on purpose; each is a row of docs/divergences.md. */
const DIVERGENT: Readonly<Record<string, string>> = {
  'go-template': 'a Go template under a name of its own is refused',
  'peer-defect': 'the recorded answer shows a defect',
  'peer-reinjection-defect': 'the recorded answer shows a defect',
}

/** The documents of a stream in the form in which they are compared. */
function documents(text: string): (Json | undefined)[] {
  return [...parseDocuments('expected', text)].flatMap((document) => {
    if (!document.ok) throw new Refusal(document.problems)
    const value = normal(document.value.value)
    return value === undefined ? [] : [value]
  })
}

/** Whether a recorded answer holds two containers of one name, which the API server refuses. */
function hasTwins(value: Json | undefined): boolean {
  if (!isObject(value)) return isArray(value) && value.some(hasTwins)
  const names = [value['containers'], value['initContainers']].flatMap((list) =>
    isArray(list) ? list.filter(isObject).map((item) => item['name']) : [],
  )
  if (new Set(names).size < names.length) return true
  return Object.values(value).some((member) => typeof member === 'object' && hasTwins(member))
}

/** Without the status annotation, which the peer's own comparison leaves out of pods too. */
function podOf(value: Json | undefined): Json | undefined {
  if (!isObject(value)) return value
  const { metadata, spec } = value
  const annotations =
    isObject(metadata) && isObject(metadata['annotations']) ? metadata['annotations'] : {}
  const { 'sidecar.istio.io/status': _status, ...rest } = annotations
  return normal({
    metadata: { ...(isObject(metadata) ? metadata : {}), annotations: rest },
    spec: spec ?? null,
  })
}

t.test('inject', needData(), async (t) => {
  const root = join(folder, 'inject')
  const counts = { cli: 0, webhook: 0 }
  for (const name of readdirSync(root).sort()) {
    const dir = join(root, name)
    const each = JSON.parse(readFileSync(join(dir, 'case.json'), 'utf8')) as Case
    const divergence = (each.needs ?? []).find((need) => Object.hasOwn(DIVERGENT, need))
    if (divergence !== undefined) {
      t.comment(`${name} is not compared: ${DIVERGENT[divergence] ?? ''}`)
      continue
    }
    const config = configFor(dir, each)
    const expected = join(dir, 'expected.yaml')
    if (existsSync(expected) && documents(readFileSync(expected, 'utf8')).some(hasTwins)) {
      t.comment(`${name} is not compared: the recorded pod has two containers of one name`)
      continue
    }
    if (each.modes.cli) {
      counts.cli++
      const text = readFileSync(join(dir, 'input.yaml'), 'utf8')
      const setting = {
        inject: (request: Parameters<typeof injectPod>[0]) => injectPod(request, config),
        nativeSidecars: each.native,
      }
      const run = () => injectText('input.yaml', text, setting)
      if (each.expectError === undefined) {
        t.strictSame(
          documents(run()),
          documents(readFileSync(expected, 'utf8')),
          `${name}: kube-inject`,
        )
      } else {
        const { annotation = '' } = each.expectError
        t.throws(
          run,
          { message: new RegExp(annotation.replaceAll('.', '\\.')) },
          `${name}: kube-inject refuses, naming ${annotation}`,
        )
      }
    }
    if (!each.modes.webhook || !existsSync(join(dir, 'webhook'))) continue
    for (const file of readdirSync(join(dir, 'webhook')).sort()) {
      const record = JSON.parse(readFileSync(join(dir, 'webhook', file), 'utf8')) as Recorded
      counts.webhook++
      const post = (review: Json): { allowed: boolean; pod: Json; patched: boolean } => {
        const answer = answerReview(JSON.stringify(review), record.path, injectPod, {
          config,
          isNative: () => each.native,
          annotationsOf: (namespace) => each.namespaces?.[namespace]?.annotations,
        })
        const body = JSON.parse(answer.body) as { response: { allowed: boolean; patch?: string } }
        const object = (review as { request: { object: Json } }).request.object
        const patch = body.response.patch
        const operations =
          patch === undefined
            ? []
            : (JSON.parse(Buffer.from(patch, 'base64').toString()) as Operation[])
        return {
          allowed: body.response.allowed,
          patched: operations.length > 0,
          pod: applyPatch(object, operations),
        }
      }
      const first = post(record.review)
      t.equal(first.allowed, record.expect.allowed, `${name}: webhook ${file}: allowed`)
      if (!record.expect.allowed || record.pod === undefined) continue
      t.equal(first.patched, record.expect.patched, `${name}: webhook ${file}: patched`)
      t.strictSame(podOf(first.pod), podOf(record.pod), `${name}: webhook ${file}`)
      const { request } = record.review as { request: JsonObject }
      const repost = (pod: Json) =>
        post({ ...(record.review as JsonObject), request: { ...request, object: pod } }).pod
      const again = repost(first.pod)
      if (record.reinjectEqual) {
        t.strictSame(again, first.pod, `${name}: webhook ${file}: a second time changes nothing`)
      } else {
        // The peer changes such a pod each time, or once more; ours has settled by then at the latest.
        t.strictSame(repost(again), again, `${name}: webhook ${file}: a third time changes nothing`)
      }
    }
  }
  t.comment(
    `${counts.cli} cases through kube-inject, ${counts.webhook} records through the webhook`,
  )
  t.ok(counts.cli > 0 && counts.webhook > 0, 'there were cases to compare')
})
