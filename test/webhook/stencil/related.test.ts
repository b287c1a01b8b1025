/**
 * Texts of one pod that an injection compares with each other. A stencil that was cut where two of them have
 * nothing to do with each other must not answer a pod in which they have.
 */
import t from 'tap'
import type { JsonObject } from '../../../core/json.ts'
import { rulesOf, type Rules } from '../../../webhook/stencil/holes.ts'
import type { Hole } from '../../../webhook/stencil/scan.ts'
import { configOf } from '../../support/config.ts'
import { bodyOf, ordinary } from './bodies.ts'
import { apart, fits, inFull, makeCounted, PATH, refilled, snapshotOf, textsIn } from './refill.ts'

const CURRENT = snapshotOf(configOf({}))
const OWNER = '"kind":"ReplicaSet","name":"web-5d4f8c7b9"'
const HASH = '"pod-template-hash":"5d4f8c7b9"'
const LEVEL = '"sidecar.istio.io/logLevel":"info"'
const VOLUME = { name: 'kube-api-access-qqqqq', emptyDir: {} }
const MOUNT = { 'kube-api-access-qqqqq': { mountPath: '/x' } }

/** The body with other texts in it; every one of them is there. */
function but(body: string, ...changes: readonly (readonly [from: string, to: string])[]): string {
  return changes.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`want ${from} in the body`)
    return text.replaceAll(from, to)
  }, body)
}

function withAnnotations(annotations: JsonObject, { spell = (text: string): string => text } = {}) {
  const given = Object.entries(annotations).map(
    ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(spell(JSON.stringify(value)))}`,
  )
  return but(usual, [LEVEL, given.join()])
}

const usual = bodyOf(ordinary())
const ownToken = ['kube-api-access-x7k2p', 'kube-api-access-qqqqq'] as const
const otherHash = [HASH, '"pod-template-hash":"aaaaaaaa"'] as const
const rollout = but(usual, [HASH, '"rollouts-pod-template-hash":"aaaaaaaa"'])
const dashless = but(usual, ['web-5d4f8c7b9"', 'web5d4f8c7b9"'])
const job = but(usual, ['"kind":"ReplicaSet"', '"kind":"Job"'])
const volumeTwice = but(usual, [
  '"path":"token"}}]}}]',
  `"path":"token"}}]}},${JSON.stringify(VOLUME)}]`,
])
const mountsOther = but(volumeTwice, [
  LEVEL,
  `"sidecar.istio.io/userVolumeMount":${JSON.stringify(JSON.stringify(MOUNT))}`,
])
const brings = withAnnotations({
  'sidecar.istio.io/userVolume': { [VOLUME.name]: { emptyDir: {} } },
  'sidecar.istio.io/userVolumeMount': MOUNT,
})
const spelled = withAnnotations(
  {
    'sidecar.istio.io/userVolume': { [VOLUME.name]: { emptyDir: {} } },
    'sidecar.istio.io/userVolumeMount': MOUNT,
  },
  { spell: (text) => text.replaceAll('kube-api', 'kub\\u0065\\u002dapi') },
)
const ownersFirst = but(
  usual,
  [`"labels":{"app":"web","version":"v1",${HASH}},`, ''],
  ['"controller":true}]', `"controller":true}],"labels":{"app":"web","version":"v1",${HASH}}`],
)
const labelsTwice = but(usual, [
  '"controller":true}]',
  `"controller":true}],"labels":{"app":"web","version":"v1","pod-template-hash":"aaaaaaaa"}`,
])
const placedElsewhere = but(usual, [
  '"generateName":"web-5d4f8c7b9-","namespace":"shop"',
  '"generateName":"web-5d4f8c7b9-","namespace":"kitchen"',
])

/** What was learned, and a pod of the same shape in which two of its texts fit. */
const rows: readonly (readonly [what: string, learned: string, fitting: string])[] = [
  ["a ReplicaSet with another's hash", but(usual, otherHash), usual],
  ['one of a namespace of its own', but(usual, otherHash, ['"shop"', '"evil"']), usual],
  ['a Rollout', rollout, but(rollout, ['aaaaaaaa', '5d4f8c7b9'])],
  ['a hash without a dash', but(dashless, otherHash), dashless],
  ['labels behind the owner', but(ownersFirst, otherHash), ownersFirst],
  ['labels twice', labelsTwice, but(labelsTwice, ['aaaaaaaa', '5d4f8c7b9'])],
  ['a Job with a hash of eight digits', job, but(job, ['5d4f8c7b9', '12345678'])],
  ['a volume of an annotation', brings, but(brings, ownToken)],
  ['one in another spelling', spelled, but(spelled, ownToken)],
  ['a mount of an annotation', mountsOther, but(mountsOther, ownToken)],
  ['two volumes of one name', volumeTwice, but(volumeTwice, ownToken)],
  [
    'a namespace beside that of the request',
    placedElsewhere,
    but(placedElsewhere, ['"shop"', '"kitchen"']),
  ],
]

t.test('what was learned where two texts do not fit says nothing where they do', async (t) => {
  for (const [what, learned, fitting] of rows) {
    for (const times of [1, 2, 3]) {
      const { quick, seen } = makeCounted()
      const wanted = (body: string) => inFull(body, PATH, CURRENT)
      for (let turn = 0; turn < times; turn++) {
        t.strictSame(quick(learned, PATH, CURRENT), wanted(learned), what)
      }
      t.strictSame(quick(fitting, PATH, CURRENT), wanted(fitting), `${what}: after ${times}`)
      t.strictSame(seen.closed, [], `${what}: nobody can close stencils by it`)
    }
  }
})

t.test('what is like any other pod is still learned', async (t) => {
  const single = but(usual, [`,${HASH}`, ''])
  for (const [what, body] of [
    ['a Deployment', usual],
    ['a ReplicaSet of its own', single],
    ['a Job', but(single, [OWNER, '"kind":"Job","name":"nightly-29385720"'])],
    ['a StatefulSet', but(single, [OWNER, '"kind":"StatefulSet","name":"web"'])],
    ['a Rollout', but(rollout, ['aaaaaaaa', '5d4f8c7b9'])],
  ] as const) {
    const { quick, seen } = makeCounted()
    for (let turn = 0; turn < 2; turn++) quick(body, PATH, CURRENT)
    t.strictSame(seen, { short: 1, closed: [] }, what)
  }
})

/** Names for which nobody looks, of the form that a hole takes. */
const STRANGERS: Readonly<Partial<Record<Hole['kind'], string>>> = {
  name: 'stranger',
  namespace: 'stranger',
  hashed: 'stranger',
  prefix: 'stranger-',
  uid: '00000000-5555',
  path: '/stranger',
  text: 'stranger',
  access: 'kube-api-access-sssss',
}

t.test(
  'texts of the pod, and parts of them, in holes that had nothing to do with them',
  async (t) => {
    for (const config of [configOf({}), configOf({ istioVersion: '1.8' })]) {
      const snapshot = snapshotOf(config)
      const rules = rulesOf(config)
      if (rules === undefined) throw new Error('want rules')
      const { quick, seen } = makeCounted()
      const wrong: string[] = []
      for (const body of strangers(usual, rules)) {
        quick(body, PATH, snapshot)
        quick(body, PATH, snapshot)
        for (const text of related(body, rules)) {
          const count = seen.short
          const answer = quick(text, PATH, snapshot)
          if (seen.short === count) continue
          if (JSON.stringify(answer) !== JSON.stringify(inFull(text, PATH, snapshot)))
            wrong.push(text)
        }
      }
      t.strictSame(wrong, [])
      t.strictSame(seen.closed, [])
      t.ok(seen.short > 300, `${seen.short} answers came from stencils`)
    }
  },
)

/** The body with a stranger in one of its texts at a time, without what else says the same. */
function* strangers(body: string, rules: Rules): Generator<string> {
  yield body
  const { parts, values } = apart(body, rules)
  for (const [number, { kind }] of parts.holes.entries()) {
    const stranger = STRANGERS[kind]
    // A hole that repeats another one is left as it is: so the two differ.
    if (stranger !== undefined) yield loosely(parts, values, number, stranger)
  }
}

function loosely(
  { literals, holes }: ReturnType<typeof apart>['parts'],
  values: readonly string[],
  number: number,
  stranger: string,
): string {
  return holes.reduce((text, hole, index) => {
    const own = index === number ? stranger : (values[index] ?? '')
    const shown = hole.kind === 'hashed' ? `${own}-${values[hole.of] ?? ''}` : own
    return `${text}${shown}${literals[index + 1] ?? ''}`
  }, literals[0] ?? '')
}

/** The body with a text of its own, or with an end of one, in one of its holes that come out. */
function* related(body: string, rules: Rules): Generator<string> {
  const { parts, values } = apart(body, rules)
  const texts = new Set([...textsIn(body), '12345678'].flatMap(partsOf))
  for (const [number, { kind }] of parts.holes.entries()) {
    if (STRANGERS[kind] === undefined) continue
    for (const text of texts) {
      if (RELATABLE.test(text) && fits(kind, text) && text !== values[number])
        yield refilled(parts, values.with(number, text))
    }
  }
}

/** Texts that say which one, not what: fields of the API say the same in every pod. */
const RELATABLE = /web|shop|5d4f|data|kube-api|stranger|sssss|qqqqq|built|live|12345678|^\w$/

/** A text, and what stands before and behind its dashes. */
function partsOf(text: string): readonly string[] {
  const dashes = [...text.matchAll(/-/g)].map(({ index }) => index)
  return [text, ...dashes.flatMap((at) => [text.slice(0, at), text.slice(at + 1)])]
}
