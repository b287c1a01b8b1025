/** Bodies apart, and what stencils are cut for: whatever looks into a hole must get none. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { rulesOf, type Rules } from '../../../webhook/stencil/holes.ts'
import { scan } from '../../../webhook/stencil/scan.ts'
import type { Work } from '../../../webhook/stencil/stencil.ts'
import { makeStencils, type Stencils } from '../../../webhook/stencil/stencils.ts'
import { emptyTree, find, plant } from '../../../webhook/stencil/tree.ts'
import { configOf } from '../../support/config.ts'
import { pods } from '../../support/pods.ts'
import { bodyOf, ordinary } from './bodies.ts'

const PATH = '/inject'

const rules = builtInRules()

function builtInRules(): Rules {
  const found = rulesOf(configOf({}))
  if (found === undefined) throw new Error('no rules for the built-in configuration')
  return found
}

/** A body from its parts, and from what a search says stands in its holes. */
function joined(body: string, values: readonly string[]): string {
  const { literals, holes } = scan(body, rules)
  return holes.reduce((text, hole, index) => {
    const value = values[index] ?? ''
    const shown = hole.kind === 'hashed' ? `${value}-${values[hole.of] ?? ''}` : value
    return `${text}${shown}${literals[index + 1] ?? ''}`
  }, literals[0] ?? '')
}

t.test('any body is found again, among others, with what stands in its holes', async (t) => {
  const tree = emptyTree<string>()
  let planted = 0
  const spaced = fc.constantFrom(undefined, 1, '\t')
  fc.assert(
    fc.property(pods(), spaced, (pod, space) => {
      const body = JSON.stringify(JSON.parse(bodyOf(pod)), null, space)
      plant(tree, scan(body, rules), body)
      planted += 1
      const found = find(tree, body, rules)
      t.equal(found?.leaf, body)
      t.equal(joined(body, found?.values ?? []), body)
    }),
    { numRuns: 300, seed: 20261121 },
  )
  t.equal(planted, 300)
})

t.test('what is no text of the shape is not found', async (t) => {
  const body = bodyOf(ordinary())
  const tree = emptyTree<string>()
  plant(tree, scan(body, rules), 'it')
  const found = (text: string): string | undefined => find(tree, text, rules)?.leaf
  const but = (from: string, to: string): string => {
    const changed = body.replace(from, to)
    t.not(changed, body, `${from} is there to be changed`)
    return changed
  }
  const same: readonly (readonly [string, string])[] = [
    ['"app":"web"', '"app":"shop.v_2-b"'],
    ['/live', '/live/7'],
    ['built by hand', 'Built: 7, 8 (twice)'],
    ['registry.example/web:1', 'x'],
    ['registry.example/web:1', 'a \\"quoted\\" \\u00e9 ü one'],
  ]
  for (const [from, to] of same) t.equal(found(but(from, to)), 'it', `${from} -> ${to}`)
  const managed = JSON.stringify(ordinary()['metadata']).match(/"managedFields":(.*)}$/)?.[1] ?? ''
  for (const list of [
    '[]',
    '[ ]',
    '[{"a":[1e3,"]"]},"\\"}",{"__proto__":null}]',
    '['.repeat(50) + ']'.repeat(50),
  ]) {
    t.equal(found(but(managed, list)), 'it', list)
  }
  const others: readonly (readonly [string, string])[] = [
    ['"app":"web"', '"app":""'],
    ['"app":"web"', '"app":"-web"'],
    ['"app":"web"', '"app":"we\\u0062"'],
    ['"app":"web"', `"app":"${'x'.repeat(64)}"`],
    ['"app":"web"', '"app":"web","app2":"web"'],
    ['"app":"web"', '"app":7'],
    ['"sidecar.istio.io/logLevel":"info"', '"sidecar.istio.io/logLevel":"debug"'],
    ['/live', '/app-health/web/livez'],
    ['/live', 'live'],
    ['built by hand', 'built & run'],
    ['"name":"web"', '"name":"web2"'],
    ['"mountPath":"/data"', '"mountPath":"/data2"'],
    // The two that must be the same are not.
    ['"namespace":"shop"', '"namespace":"kitchen"'],
    ['kube-api-access-x7k2p', 'kube-api-access-aaaaa'],
    ['"name":"web-5d4f8c7b9"', '"name":"web-5d4f8c7b8"'],
    ['registry.example/web:1', 'a bad \\escape'],
    ['registry.example/web:1', 'a\nbroken line'],
    ['}', ''],
  ]
  for (const [from, to] of others) t.equal(found(but(from, to)), undefined, `${from} -> ${to}`)
  for (const value of [
    'null',
    '{}',
    '"[]"',
    '[}',
    '[{]}',
    '[1,]',
    '["a"b]',
    '["a\nb"]',
    '[]]',
    '[',
    '["\\"]',
    `${'['.repeat(51)}${']'.repeat(51)}`,
  ]) {
    t.equal(found(but(managed, value)), undefined, `managed fields: ${value}`)
  }
  t.equal(found(but(`,"managedFields":${managed}`, '')), undefined, 'none is another shape')
  t.equal(found(`${body} `), undefined, 'more behind it')
  t.equal(found(body.slice(0, -1)), undefined, 'less')
  t.equal(found(''), undefined)
})

/** Learns a body to the end. */
function learn(stencils: Stencils, body: string, work: Work, path = PATH): void {
  const steps = [...stencils.learn(path, body, work(body) ?? [], work)].length
  if (steps > 8) throw new Error(`${steps} steps, want one for each turn of the extremes`)
}

type Looked = {
  readonly labels: Readonly<Record<string, string>>
  readonly note: string
  readonly image: string
  readonly value: string
  readonly path: string
  readonly cpu: string
  readonly volume: string
  readonly namespace: string
  readonly account: string
  readonly uid: string
  readonly owner: string
}

type Posted = {
  readonly request: {
    readonly uid: string
    readonly namespace: string
    readonly object: {
      readonly metadata: {
        readonly labels: Readonly<Record<string, string>>
        readonly annotations: Readonly<Record<string, string>>
        readonly ownerReferences: readonly { readonly name: string }[]
      }
      readonly spec: {
        readonly containers: readonly {
          readonly image: string
          readonly env: readonly { readonly value: string }[]
          readonly livenessProbe: { readonly httpGet: { readonly path: string } }
          readonly resources: { readonly requests: { readonly cpu: string } }
        }[]
        readonly volumes: readonly { readonly name: string }[]
        readonly serviceAccountName: string
      }
    }
  }
}

/** Work that says something of a body. */
function workOf(say: (looked: Looked) => unknown): Work {
  return (body) => {
    const { uid, namespace, object } = (JSON.parse(body) as Posted).request
    const { metadata, spec } = object
    const [container] = spec.containers
    const said = say({
      uid,
      namespace,
      labels: metadata.labels,
      note: metadata.annotations['example.org/note'] ?? '',
      image: container?.image ?? '',
      value: container?.env[0]?.value ?? '',
      path: container?.livenessProbe.httpGet.path ?? '',
      cpu: container?.resources.requests.cpu ?? '',
      volume: spec.volumes[1]?.name ?? '',
      account: spec.serviceAccountName,
      owner: metadata.ownerReferences[0]?.name ?? '',
    })
    return [JSON.stringify(said ?? null)]
  }
}

/** The same shape with other texts in its holes. */
function another(body: string): string {
  return body.replace('"app":"web"', '"app":"kitchen"').replaceAll('shop', 'kitchen')
}

const copies: Readonly<Record<string, (looked: Looked) => unknown>> = {
  nothing: () => 'the same for all',
  'a label': ({ labels }) => labels['app'],
  'labels, sorted by their keys': ({ labels }) => Object.entries(labels).sort(),
  'a text that holds several': ({ labels, namespace, uid }) =>
    `kubernetes://${namespace}/${labels['app'] ?? ''}?${uid}`,
  'JSON in JSON': ({ note, path }) => JSON.stringify({ note, path }),
  'a label that stands in for an empty one': ({ labels }) => labels['app'] || 'none',
  'the name of a volume': ({ volume }) => volume,
}

t.test('what copies gets a stencil', async (t) => {
  for (const [what, say] of Object.entries(copies)) {
    const work = workOf(say)
    const body = bodyOf(ordinary())
    let disagreements = 0
    const stencils = makeStencils(rules, () => (disagreements += 1))
    t.equal(stencils.texts(PATH, body, work), undefined, `${what}: not before it was cut`)
    learn(stencils, body, work)
    t.strictSame(stencils.texts(PATH, body, work), work(body), `${what}: the one that was met`)
    t.strictSame(
      stencils.texts(PATH, another(body), work),
      work(another(body)),
      `${what}: another one`,
    )
    t.equal(disagreements, 0)
  }
})

const looks: Readonly<Record<string, (looked: Looked) => unknown>> = {
  'the length of a label': ({ labels }) => (labels['app'] ?? '').length > 30,
  'a label cut off': ({ labels }) => (labels['app'] ?? '').slice(0, 40),
  'the end of a label': ({ labels }) => (labels['app'] ?? '').replace(/[-_.]?\w$/, ''),
  'a label in capitals': ({ labels }) => labels['app']?.toUpperCase(),
  'a label that is a number': ({ labels }) => !Number.isNaN(Number(labels['app'])),
  'a label that is a word of the mesh': ({ labels }) => labels['app'] === 'istio-proxy',
  'a label split at dashes': ({ labels }) => labels['app']?.split('-').length,
  'a label split at dots': ({ labels }) => labels['app']?.split('.')[0],
  'two labels that are equal': ({ labels }) => labels['app'] === labels['version'],
  'a label equal to the namespace': ({ labels, namespace }) => labels['app'] === namespace,
  'labels, sorted by their values': ({ labels }) => Object.values(labels).sort(),
  'a digest': ({ labels }) => createHash('sha256').update(JSON.stringify(labels)).digest('hex'),
  'an annotation that is a list': ({ note }) => note.split(',').length,
  'an annotation of pairs': ({ note }) => note.split('=')[0],
  'an annotation with signs': ({ note }) => encodeURIComponent(note),
  'an annotation that is switched on': ({ note }) => note === 'true',
  'an annotation that is blank': ({ note }) => note.trim() === '',
  'an annotation that is JSON': ({ note }) => note.startsWith('{'),
  'an image as it is': ({ image }) => image,
  'the tag of an image': ({ image }) => /:([^:/]+)$/.exec(image)?.[1],
  'the digest of an image': ({ image }) => image.includes('@'),
  'a variable that is empty': ({ value }) => value === '',
  'a variable with a reference': ({ value }) => value.includes('$('),
  'a variable that is too long': ({ value }) => value.length > 200,
  'a quantity in thousandths': ({ cpu }) => cpu.endsWith('m'),
  'a quantity': ({ cpu }) => Number.parseInt(cpu, 10) > 1000,
  'a path that is the root': ({ path }) => path === '/',
  'a path without its slash': ({ path }) => path.replace(/\/$/, ''),
  'the end of the name of a volume': ({ volume }) => volume.slice(-3),
  'a namespace that has a meaning': ({ namespace }) => namespace === 'default',
  'the length of a uid': ({ uid }) => uid.length,
  'the end of an account': ({ account }) => account.at(-1) === 't',
  'an owner with its hash': ({ owner }) => owner.length > 100,
}

t.test('what looks into a hole gets none', async (t) => {
  for (const [what, say] of Object.entries(looks)) {
    const work = workOf(say)
    const body = bodyOf(ordinary())
    const stencils = makeStencils(rules, () => t.fail('nothing is compared'))
    learn(stencils, body, work)
    t.equal(stencils.texts(PATH, body, work), undefined, what)
    t.equal(stencils.texts(PATH, another(body), work), undefined, what)
  }
})

t.test(
  'a work that changes its mind is found out by the first answer, or by the 256th after',
  async (t) => {
    const body = bodyOf(ordinary())
    for (const answers of [0, 1, 256]) {
      let kind = 'old'
      const work = workOf(({ labels }) => `${kind} ${labels['app'] ?? ''}`)
      let disagreements = 0
      const stencils = makeStencils(rules, () => (disagreements += 1))
      learn(stencils, body, work)
      for (let answer = 0; answer < answers; answer++) stencils.texts(PATH, body, work)
      t.equal(disagreements, 0)
      kind = 'new'
      let more = 0
      while (disagreements === 0 && more < 1000) {
        more += 1
        stencils.texts(PATH, body, work)
      }
      t.equal(more, answers === 1 ? 256 : 1, `after ${answers} answers`)
    }
  },
)

t.test('bounds', async (t) => {
  const work: Work = (body) => [String(body.length > 0)]
  const stencils = makeStencils(rules, () => undefined)
  const shape = (number: number, size = 0): string =>
    bodyOf(ordinary({ mountPath: `/data${number}/${'x'.repeat(size)}` }))
  const isKnown = (body: string): boolean => stencils.texts(PATH, body, work) !== undefined
  learn(stencils, shape(0, 70_000), work)
  t.notOk(isKnown(shape(0, 70_000)), 'a body that is too long')
  for (let number = 1; number <= 1000; number++) learn(stencils, shape(number), work)
  t.ok(isKnown(shape(1)) && isKnown(shape(1000)), 'a thousand shapes are kept')
  learn(stencils, shape(1001), work)
  t.ok(isKnown(shape(1001)), 'one more is kept')
  t.notOk(isKnown(shape(1)), 'and the others make room')
  for (let number = 2000; number < 2300; number++) learn(stencils, shape(number, 60_000), work)
  t.notOk(isKnown(shape(1001)), 'so they do for long ones')
})

t.test('the bounds are those of all paths together', async (t) => {
  const work: Work = (body) => [String(body.length > 0)]
  const body = bodyOf(ordinary())
  for (const [what, count, path] of [
    ['a thousand paths', 1000, (number: number) => `/inject/cluster/${number}`],
    ['long ones', 500, (number: number) => `/inject/cluster/${number}${'x'.repeat(40_000)}`],
  ] as const) {
    const stencils = makeStencils(rules, () => undefined)
    const isKnown = (number: number): boolean =>
      stencils.texts(path(number), body, work) !== undefined
    learn(stencils, body, work, path(0))
    t.ok(isKnown(0), what)
    t.notOk(isKnown(1), 'each has its own')
    for (let number = 1; number <= count; number++) learn(stencils, body, work, path(number))
    t.ok(isKnown(count), 'the newest is kept')
    t.notOk(isKnown(0), 'and the oldest is forgotten')
  }
})
