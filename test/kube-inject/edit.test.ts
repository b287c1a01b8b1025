import fc from 'fast-check'
import t from 'tap'
import type { Json } from '../../core/json.ts'
import { parseDocuments, readYaml, type YamlDocument } from '../../core/yaml.ts'
import { applyChange, changeBetween } from '../../kube-inject/change.ts'
import { changedText } from '../../kube-inject/manifest.ts'
import { anyJson, manifestText, mutated, type Style } from './manifests.ts'

const rows: readonly {
  readonly what: string
  readonly text: string
  /** The wanted value, as YAML. */
  readonly after: string
  readonly want: string
}[] = [
  {
    what: 'nothing to change gives the source back',
    text: '{ a :   1 }   # odd\n\n',
    after: 'a: 1',
    want: '{ a :   1 }   # odd\n\n',
  },
  {
    what: 'a new key follows the last one, its comment stays beside it',
    text: 'm:\n  a: 1 # one\n\n# the end\n',
    after: 'm: {a: 1, b: two}',
    want: 'm:\n  a: 1 # one\n  b: two\n\n# the end\n',
  },
  {
    what: 'new parts are indented as the file is',
    text: 'm:\n    a:\n        -   x: 1\n',
    after: 'm: {a: [{x: 1}, {x: 2, w: {z: [3]}}]}',
    want: [
      'm:\n    a:\n        -   x: 1\n        -   x: 2\n            w:\n                z:\n',
      '                    - 3\n',
    ].join(''),
  },
  {
    what: 'lists that are not indented under their key stay so',
    text: 'a:\n- 1\nb: 2\n',
    after: 'a: [1, 3]\nb: 2\nc: [4]',
    want: 'a:\n- 1\n- 3\nb: 2\nc:\n- 4\n',
  },
  {
    what: 'metadata comes before spec',
    text: '# pod\nspec: # of it\n  x: 1\n',
    after: 'metadata: {name: pod}\nspec: {x: 1}',
    want: 'metadata:\n  name: pod\n# pod\nspec: # of it\n  x: 1\n',
  },
  {
    what: 'a scalar gives way alone',
    text: "a: 'old'   # why\nb: 2\n",
    after: 'a: "8080"\nb: 2',
    want: 'a: "8080"   # why\nb: 2\n',
  },
  {
    what: 'an empty map in braces opens up, its comment stays on its line',
    text: 'a: {} # none\nb: 1\n',
    after: 'a: {c: 1}\nb: 1',
    want: 'a: # none\n  c: 1\nb: 1\n',
  },
  {
    what: 'a key without a value gets one',
    text: 'a: # nothing yet\nb:\n',
    after: 'a: {c: 1}\nb: x',
    want: 'a: # nothing yet\n  c: 1\nb: x\n',
  },
  {
    what: 'a removed pair takes only its lines along',
    text: 'a:\n  b: 1\n  # about c\n  c:\n    d: 2\n  e: 3\n',
    after: 'a: {b: 1, e: 3}',
    want: 'a:\n  b: 1\n  # about c\n  e: 3\n',
  },
  {
    what: 'the last pair to go leaves an empty map',
    text: 'a:\n  b: 1\nc: 2\n',
    after: 'a: {}\nc: 2',
    want: 'a: {}\nc: 2\n',
  },
  {
    what: 'a pair behind a dash goes, the next one moves up',
    text: '- a: 1\n  b: 2\n',
    after: '[{b: 2}]',
    want: '- b: 2\n',
  },
  {
    what: 'what is new takes the place of what goes',
    text: 'probe:\n  tcpSocket: {port: 80}\n  period: 1\n',
    after: 'probe: {httpGet: {port: 15020}, period: 1}',
    want: 'probe:\n  httpGet:\n    port: 15020\n  period: 1\n',
  },
  {
    what: 'items come before, between and behind',
    text: 'l:\n  # b\n  - name: b # it is b\n\n  # d\n  - name: d\n',
    after: 'l: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}]',
    want: [
      'l:\n  - name: a\n  # b\n  - name: b # it is b\n  - name: c\n\n  # d\n  - name: d\n',
      '  - name: e\n',
    ].join(''),
  },
  {
    what: 'an item that moves takes its comment along',
    text: 'l:\n# a\n- name: a\n  x: 1 # x\n# b\n- name: b\n- name: c\n',
    after: 'l: [{name: b}, {name: c}, {name: a, x: 1, z: 2}]',
    want: 'l:\n# b\n- name: b\n- name: c\n# a\n- name: a\n  x: 1 # x\n  z: 2\n',
  },
  {
    what: 'items are told by their key, not by their place',
    text: 'env:\n- {name: A, value: x}\n- {name: B, value: y}\n',
    after: 'env: [{name: B, value: z}]',
    want: 'env:\n- {name: B, value: z}\n',
  },
  {
    what: 'a list within a list takes an item before the dash',
    text: '- - b\n  - c\n',
    after: '[[a, b, c]]',
    want: '- - a\n  - b\n  - c\n',
  },
  {
    what: 'braces on one line stay on one line',
    text: 'a: { b: 1, c: [x, y,] } # z\n',
    after: 'a: {b: 1, c: [x, y, w], d: "no"}',
    want: 'a: { b: 1, c: [x, y, w,], d: "no" } # z\n',
  },
  {
    what: 'brackets over several lines get a line for each new item, comments stay',
    text: 'a: [\n  b, # first\n  c # last\n]\n',
    after: 'a: [b, c, d]',
    want: 'a: [\n  b, # first\n  c, # last\n  d\n]\n',
  },
  {
    what: 'what goes from braces takes its comma along',
    text: 'a: {b: 1, c: 2, d: 3}\n',
    after: 'a: {b: 1, d: 3}',
    want: 'a: {b: 1, d: 3}\n',
  },
  {
    what: 'JSON stays JSON',
    text: '{\n\t"a": {},\n\t"b": [1]\n}',
    after: 'a: {c: [x]}\nb: [1]\nd: yes',
    want: '{\n\t"a": {\n\t\t"c": [\n\t\t\t"x"\n\t\t]\n\t},\n\t"b": [1],\n\t"d": true\n}',
  },
  {
    what: 'dense JSON stays dense',
    text: '{"a":[1]}',
    after: 'a: [1, {b: 2}]\nc: "1"',
    want: '{"a":[1,{"b":2}],"c":"1"}',
  },
  {
    what: 'line breaks of two characters are kept and followed',
    text: 'a:\r\n  b: 1\r\n',
    after: 'a: {b: 1, c: "x\\ny\\n"}',
    want: 'a:\r\n  b: 1\r\n  c: |\r\n    x\r\n    y\r\n',
  },
  {
    what: 'a file without a last line break gets none',
    text: 'a: 1',
    after: 'a: 1\nb: 2',
    want: 'a: 1\nb: 2',
  },
  {
    what: 'a literal that ended the file without a line break keeps its value',
    text: 'a: |\n  x',
    after: 'a: x\nb: 2',
    want: 'a: |-\n  x\nb: 2',
  },
  {
    what: 'a literal with kept blank lines keeps them',
    text: 'a:\n  b: |+\n    x\n\nc: 1\n',
    after: 'a: {b: "x\\n\\n", d: 2}\nc: 1',
    want: 'a:\n  b: |+\n    x\n\n  d: 2\nc: 1\n',
  },
  {
    what: 'blank lines behind a literal stay behind what is new',
    text: 'a:\n  b: |\n    x\n\n\nc: 1\n',
    after: 'a: {b: "x\\n", d: 2}\nc: 1',
    want: 'a:\n  b: |\n    x\n  d: 2\n\n\nc: 1\n',
  },
  {
    what: 'a change behind an alias writes out that alias only',
    text: 'a: &x {l: 1}\nb: *x # same\nc: *x\n',
    after: 'a: {l: 1}\nb: {l: 1, m: 2}\nc: {l: 1}',
    want: 'a: &x {l: 1}\nb: # same\n  l: 1\n  m: 2\nc: *x\n',
  },
  {
    what: 'a change at an anchor leaves its aliases what they were',
    text: 'a: &x\n  l: 1\nb: *x\n',
    after: 'a: {l: 1, m: 2}\nb: {l: 1}',
    want: 'a: &x\n  l: 1\n  m: 2\nb:\n  l: 1\n',
  },
  {
    what: 'an anchor that goes is written out where it was used',
    text: 'a:\n  k: &x [1]\n  z: 0\nb: *x\n',
    after: 'a: {z: 0}\nb: [1]',
    want: 'a:\n  z: 0\nb:\n- 1\n',
  },
  {
    what: 'an anchor above the change is left alone where nobody uses it',
    text: 'a: &x\n  l: 1\n',
    after: 'a: {l: 2}',
    want: 'a: &x\n  l: 2\n',
  },
  {
    what: 'a merge key stays when its keys do',
    text: 'a: &x {l: 1}\nb:\n  <<: *x\n  m: 2\n',
    after: 'a: {l: 1}\nb: {l: 1, m: 2, o: 3}',
    want: 'a: &x {l: 1}\nb:\n  <<: *x\n  m: 2\n  o: 3\n',
  },
  {
    what: 'a merge key is written out when what it brings changes',
    text: 'a: &x {l: 1, k: 0}\nb:\n  <<: *x # all of it\n  m: 2 # own\n',
    after: 'a: {l: 1, k: 0}\nb: {l: 9, k: 0, m: 2}',
    want: 'a: &x {l: 1, k: 0}\nb:\n  l: 9\n  m: 2 # own\n  k: 0\n',
  },
  {
    what: 'a merge key is written out when what it repeats changes',
    text: 'a: &x {l: 1}\nb:\n  <<: *x\n  m: 2\n',
    after: 'a: {l: 5}\nb: {l: 1, m: 2}',
    want: 'a: &x {l: 5}\nb:\n  l: 1\n  m: 2\n',
  },
  {
    what: 'a merge in braces is written out too',
    text: 'a: &x {l: 1}\nb: {<<: *x, m: 2}\n',
    after: 'a: {l: 1}\nb: {l: 7, m: 2}',
    want: 'a: &x {l: 1}\nb: {m: 2, l: 7}\n',
  },
  {
    what: 'a byte order mark stays first',
    text: '\uFEFFspec: 1\n',
    after: 'metadata: 0\nspec: 1',
    want: '\uFEFFmetadata: 0\nspec: 1\n',
  },
  {
    what: 'markers and comments around a document stay',
    text: '# head\n--- # one\na: 1\n... # end\n# tail\n',
    after: 'a: 1\nb: 2',
    want: '# head\n--- # one\na: 1\nb: 2\n... # end\n# tail\n',
  },
  {
    what: 'a key with a question mark keeps it',
    text: '? a\n: 1\n? b\n',
    after: 'a: 2\nb: 3\nc: 4',
    want: '? a\n: 2\nb: 3\nc: 4\n',
  },
]

for (const { what, text, after, want } of rows) {
  t.test(what, async (t) => {
    const document = documentOf(text)
    const wanted = readYaml('after', after)
    if (!wanted.ok) throw new Error(JSON.stringify(wanted.problems))
    const parts = [...parseDocuments('f', text)].map((read) => (read.ok ? read.value.text : ''))
    const change = changeBetween(document.value, wanted.value)
    const edited = changedText('f', document, change)
    t.equal(parts.map((part) => (part === document.text ? edited : part)).join(''), want)
  })
}

/** The first document of a text that has content. */
function documentOf(text: string): YamlDocument {
  for (const read of parseDocuments('f', text)) {
    if (!read.ok) throw new Error(JSON.stringify(read.problems))
    if (read.value.root !== undefined) return read.value
  }
  throw new Error('no document')
}

const style: fc.Arbitrary<Style> = fc.record({
  step: fc.constantFrom(2, 3, 4),
  listOffset: fc.constantFrom(0, 2, 4),
  dashWidth: fc.constantFrom(2, 4),
  eol: fc.constantFrom('\n', '\r\n'),
  head: fc.constantFrom('', '---\n', '--- # x\n', '\uFEFF'),
  isEnded: fc.boolean(),
  form: fc.constantFrom('yaml', 'yaml', 'yaml', 'json', 'dense json'),
  seed: fc.integer(),
})
const root = fc.dictionary(fc.constantFrom('a', 'b', 'metadata', 'spec', 'x y', 'yes'), anyJson, {
  minKeys: 1,
  maxKeys: 4,
})

t.test('whatever is changed, the text says what is wanted', async (t) => {
  let edits = 0
  fc.assert(
    fc.property(
      root,
      fc.array(anyJson, { minLength: 1, maxLength: 3 }),
      style,
      (value, extra, s) => {
        const document = documentOf(manifestText(value, s))
        const after = mutated(document.value, extra, s.seed)
        const change = changeBetween(document.value, after)
        // changedText itself throws where the text does not say what is wanted.
        changedText('f', document, change)
        edits++
        return JSON.stringify(applyChange(document.value, change)).length > 0
      },
    ),
    { numRuns: 500 },
  )
  t.ok(edits >= 500)
})

t.test('what is only added to leaves every line as it was', async () => {
  fc.assert(
    fc.property(root, anyJson, style, (value, extra, s) => {
      const text = manifestText(value, { ...s, form: 'yaml', isEnded: true, plain: true })
      const document = documentOf(text)
      const after = extended(document.value, extra)
      const edited = changedText('f', document, changeBetween(document.value, after))
      return isSubsequence(text.split('\n'), edited.split('\n'))
    }),
    { numRuns: 300 },
  )
})

/** The value with one more member in every map that has some. */
function extended(value: Json, extra: Json): Json {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item: Json) => extended(item, extra))
  const members = Object.entries(value).map(([key, member]) => [
    key,
    extended(member ?? null, extra),
  ])
  return Object.fromEntries(members.length === 0 ? [] : [...members, ['added', extra]]) as Json
}

function isSubsequence(few: readonly string[], many: readonly string[]): boolean {
  let at = 0
  for (const line of many) if (line === few[at]) at++
  return at >= few.length - 1
}
