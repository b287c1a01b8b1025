import fc from 'fast-check'
import t from 'tap'
import { isSame, type Json } from '../../core/json.ts'
import { formatProblem } from '../../core/problem.ts'
import { parseDocuments, printYaml, readYaml, saysValue } from '../../core/yaml.ts'
import { readQuickly } from '../../core/yaml/quick.ts'

// What kubectl's reader (sigs.k8s.io/yaml 1.6.0) makes of each text, written down from running it.
const scalars = [
  ['yes', true],
  ['Yes', true],
  ['YES', true],
  ['yEs', 'yEs'],
  ['y', true],
  ['Y', true],
  ['no', false],
  ['n', false],
  ['N', false],
  ['on', true],
  ['off', false],
  ['On', true],
  ['OFF', false],
  ['true', true],
  ['True', true],
  ['TRUE', true],
  ['tRue', 'tRue'],
  ['~', null],
  ['null', null],
  ['Null', null],
  ['nULL', 'nULL'],
  ['0644', 420],
  ['0o7', 7],
  ['0O7', 7],
  ['0o8', '0o8'],
  ['089', 89],
  ['09.5', 9.5],
  ['0x1F', 31],
  ['0b11', 3],
  ['-0b11', -3],
  ['1_000', 1000],
  ['_1', '_1'],
  ['0_', 0],
  ['+1', 1],
  ['-1', -1],
  ['-017', -15],
  ['1e3', 1000],
  ['1E3', 1000],
  ['1.e3', 1000],
  ['.5', 0.5],
  ['.5e3', 500],
  ['.5_0', 0.5],
  ['._5', '._5'],
  ['.', '.'],
  ['+.5', 0.5],
  ['-.', '-.'],
  ['1.', 1],
  ['1.5.5', '1.5.5'],
  ['1,000', '1,000'],
  ['60:30', '60:30'],
  ['190:20:30', '190:20:30'],
  ['2001-01-01', '2001-01-01'],
  ['2001-01-01T00:00:00Z', '2001-01-01T00:00:00Z'],
  ['1e400', '1e400'],
  ['9007199254740991', 9007199254740991],
  ['18446744073709551616', 18446744073709552000],
  ['0xffffffffffffffff', 18446744073709552000],
  ['0xfffffffffffffffff', '0xfffffffffffffffff'],
  ['07777777777777777777777777', 7.777777777777778e24],
  ['inf', 'inf'],
  ['nan', 'nan'],
  ['=', '='],
  ['10m', '10m'],
  ['128Mi', '128Mi'],
  ['1.10', 1.1],
  ['1e-7', 1e-7],
  ['0x', '0x'],
  ['0b2', '0b2'],
  ['a:b', 'a:b'],
  ['a#b', 'a#b'],
  ['00', 0],
  ['12e', '12e'],
  ['0e0', 0],
  ['--1', '--1'],
  ['1.30.3', '1.30.3'],
  ['http://x:80/y', 'http://x:80/y'],
  ['$(POD).svc', '$(POD).svc'],
] as const
const keys = [
  ['yes', 'true'],
  ['off', 'false'],
  ['0644', '420'],
  ['1_000', '1000'],
  ['1.10', '1.1'],
  ['1e6', '1e+06'],
  ['1e3', '1000'],
  ['123456.5', '123456.5'],
  ['.5', '0.5'],
  ['1e-7', '1e-07'],
  ['.inf', '.inf'],
  ['a:b', 'a:b'],
  ['"yes"', 'yes'],
  ["'1'", '1'],
  ['60:30', '60:30'],
] as const
const documents: readonly (readonly [string, Json])[] = [
  ['', null],
  ['# only a comment\n', null],
  ['---\n', null],
  ['a:\n', { a: null }],
  ['a: |\n  x', { a: 'x' }],
  ['a: |\n  x\n', { a: 'x\n' }],
  ['a: |-\n  x\n', { a: 'x' }],
  ['a: |+\n  x\n\n', { a: 'x\n\n' }],
  ['a: >\n  x\n  y\n\n  z\n', { a: 'x y\nz\n' }],
  ['a: >-\n  x\n    y\n', { a: 'x\n  y' }],
  ['a: |2\n    x\n', { a: '  x\n' }],
  ['a: "x\\ty\\u0041\\x41\\n"', { a: 'x\tyAA\n' }],
  ["a: 'it''s'", { a: "it's" }],
  ['a: x\n  y\n', { a: 'x y' }],
  ['a: "x\n  y\n\n  z"', { a: 'x y\nz' }],
  ['a: b # c', { a: 'b' }],
  ['a: b#c', { a: 'b#c' }],
  ['a: "yes"', { a: 'yes' }],
  ["a: 'null'", { a: 'null' }],
  ['a: &x 1\nb: *x', { a: 1, b: 1 }],
  ['a: &x {c: 1}\nb:\n  <<: *x\n  c: 2', { a: { c: 1 }, b: { c: 2 } }],
  ['a: &x {c: 1}\nb:\n  c: 2\n  <<: *x', { a: { c: 1 }, b: { c: 1 } }],
  [
    'a: &x {c: 1}\nd: &y {c: 2, e: 3}\nb:\n  <<: [*x, *y]',
    { a: { c: 1 }, b: { c: 1, e: 3 }, d: { c: 2, e: 3 } },
  ],
  ['"<<": 1', { '<<': 1 }],
  ['<<: {a: 1}\nb: 2', { a: 1, b: 2 }],
  ['a: !!str 123', { a: '123' }],
  ['a: !!int "3"', { a: 3 }],
  ['a: !!float 3', { a: 3 }],
  ['a: !!bool "yes"', { a: true }],
  ['a: !!null ""', { a: null }],
  ['a: ! 12', { a: '12' }],
  ['a: !!map {b: 1}', { a: { b: 1 } }],
  ['&k a: 1\nb: *k', { a: 1, b: 'a' }],
  ['? a\n: b', { a: 'b' }],
  ['? a\n', { a: null }],
  ['{a, b: 1}', { a: null, b: 1 }],
  ['[a: 1, b]', [{ a: 1 }, 'b']],
  ['[a: b, {c: d}, ]', [{ a: 'b' }, { c: 'd' }]],
  ['{a: , b: }', { a: null, b: null }],
  ['{a:1}', { 'a:1': null }],
  ['{"a":1}', { a: 1 }],
  ['[http://x:80]', ['http://x:80']],
  ['{"a":1,"b":[true,null,"x"]}', { a: 1, b: [true, null, 'x'] }],
  ['\uFEFFa: 1', { a: 1 }],
  ['--- |\n x\n', 'x\n'],
  ['a: [1,2]\r\nb: |\r\n  x\r\n  y\r\n', { a: [1, 2], b: 'x\ny\n' }],
  ['__proto__: 1', JSON.parse('{"__proto__":1}')],
  ['- - - x', [[['x']]]],
  ['- a: 1\n  b: 2\n-\n', [{ a: 1, b: 2 }, null]],
  ['l:\n- a\nm:\n  - b\n', { l: ['a'], m: ['b'] }],
  ['%YAML 1.1\n---\na: yes\n...\n', { a: true }],
]

t.test('an unquoted scalar is what kubectl reads', async (t) => {
  for (const [text, value] of scalars) {
    t.strictSame(readYaml('f', `a: ${text}`), { ok: true, value: { a: value } }, text)
  }
})

t.test('a key is the JSON key that kubectl makes of it', async (t) => {
  for (const [text, key] of keys) {
    t.strictSame(readYaml('f', `${text}: 1`), { ok: true, value: { [key]: 1 } }, text)
  }
})

t.test('a document is what kubectl reads', async (t) => {
  for (const [text, value] of documents) {
    const read = readYaml('f', text)
    t.ok(read.ok && isSame(read.value, value), JSON.stringify(text))
  }
})

const bomb = ['a: &a [1,2,3,4,5,6,7,8,9]']
for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg'].map((pair) => pair.split(''))) {
  bomb.push(
    `${to ?? ''}: &${to ?? ''} [${Array(9)
      .fill(`*${from ?? ''}`)
      .join(',')}]`,
  )
}

const refused = [
  {
    what: 'a key given twice',
    text: 'a: 1\nb: 2\na: 3\n',
    says: ['f:3:1: got "a", want each key once in a map'],
  },
  {
    what: 'the same JSON key spelled in two ways',
    text: 'm:\n  1: a\n  "1": b\n',
    says: ['f:3:3: got "1", want each key once in a map'],
  },
  {
    what: 'an unknown tag',
    text: 'a: !vault secret\n',
    says: ['f:1:4: got "!vault secret", want no tag, or one that fits the value'],
  },
  {
    what: 'a tag that does not fit',
    text: 'a: !!int many\n',
    says: ['f:1:4: got "!!int many", want no tag, or one that fits the value'],
  },
  {
    what: 'an alias of nothing',
    text: 'a: 1\nb: *nope\n',
    says: ['f:2:4: got "*nope", want an alias of an anchor that stands before it'],
  },
  {
    what: 'an anchor that contains itself',
    text: 'a: &x [*x]\n',
    says: ['f:1:8: got "*x", want an alias of an anchor that stands before it'],
  },
  {
    what: 'an alias bomb',
    text: bomb.join('\n'),
    says: [
      'f:6:8: got "*e,*e,*e,*e,*e,*e,*e,*e,*e]", want aliases that repeat at most 100000 nodes',
    ],
  },
  {
    what: 'a null key',
    text: '~: 1\n',
    says: ['f:1:1: got "~", want a key that JSON can hold'],
  },
  {
    what: 'a list as key',
    text: '? [a]\n: b\n',
    says: ['f:1:1: got "? [a]", want a key that JSON can hold'],
  },
  {
    what: 'an infinity',
    text: 'a: .inf\n',
    says: ['f:1:4: got ".inf", want a number that JSON can hold'],
  },
  {
    what: 'a merge of something else than maps',
    text: '<<: [{a: 1}, 3]\n',
    says: ['f:1:1: got "<<: [{a: 1}, 3]", want a map, or a list of maps, to merge'],
  },
  {
    what: 'a glued colon, which YAML versions read differently',
    text: 'a: [echo, now:]\n',
    says: ['f:1:11: got "now:]", want a blank behind the colon, or quotes'],
  },
  {
    what: 'a control character',
    text: 'a: b\u0007\n',
    says: ['f:1:5: got "\\u0007", want text without control characters'],
  },
  {
    what: 'nesting without end',
    text: `${'[\n'.repeat(600)}${']'.repeat(600)}`,
    says: ['f:502:1: got "[", want maps and lists nested at most 500 deep'],
  },
]

for (const { what, text, says } of refused) {
  t.test(`refuses ${what}`, async (t) => {
    const read = readYaml('f', text)
    t.strictSame(read.ok ? [] : read.problems.map(formatProblem), says)
  })
}

const malformed = [
  { what: 'a tab as indentation', text: 'a:\n\tb: 1\n', at: 'f:2:1' },
  { what: 'an open brace', text: 'a: 1\nb: {c: 1\n', at: 'f:3:1' },
  { what: 'a map in a scalar', text: 'a: b: c\n', at: 'f:1:4' },
  { what: 'a second document', text: 'a: 1\n---\nb: 1\n', at: 'f:2:1' },
]

for (const { what, text, at } of malformed) {
  t.test(`says where ${what} stands`, async (t) => {
    const read = readYaml('f', text)
    t.strictSame(read.ok ? [] : read.problems.map(({ path }) => path), [at])
  })
}

t.test('a nesting without end is a problem soon, not a crash', async (t) => {
  const read = readYaml('f', '['.repeat(200_000))
  t.notOk(read.ok)
  t.ok(read.ok || read.problems.length <= 20)
  t.match(readYaml('f', '- '.repeat(5000)), { ok: false, problems: [{ want: /500 deep/ }] })
})

const quoted = ['yes', 'y', '0644', '1e3', '~', '.5', '0o7', '1_0', '', ' a', 'a ', 'a: b', 'a #b']
quoted.push(
  '- a',
  '*',
  '&a',
  '!a',
  '%a',
  '@a',
  '2001-01-01',
  '60:30',
  '1.10',
  '=',
  '<<',
  '---',
  'a:',
)

t.test('text that would be read as something else is quoted', async (t) => {
  for (const text of quoted) t.equal(printYaml({ a: text }), `a: "${text}"\n`, text)
})

const bare = ['nginx', '--proxyLogLevel=warning', '10m', '128Mi', '$(POD_NAME).svc', '/etc/istio']
bare.push('docker.io/istio/proxyv2:1.30.3', 'misc:error', "metadata.labels['app']")

t.test('plain text stays bare', async (t) => {
  for (const text of bare) t.equal(printYaml({ a: text }), `a: ${text}\n`, text)
})

t.test('the layout is that of kubectl', async (t) => {
  const value = { a: { b: [{ c: 1, d: [[], {}, [2]] }, null] }, e: 'x\ny\n', f: ['x\ny'] }
  t.equal(
    printYaml(value),
    [
      'a:\n  b:\n  - c: 1\n    d:\n    - []\n    - {}\n    - - 2\n  - null\n',
      'e: |\n  x\n  y\nf:\n- |-\n  x\n  y\n',
    ].join(''),
  )
})

const awkward = fc.constantFrom(...scalars.map(([text]) => text), ...quoted, ...bare)
const pieces = fc.array(fc.constantFrom(...'ab \n\t:#-\'"{}[],&*!|>%@?~01.e_'.split(/(?:)/)), {
  maxLength: 8,
})
const text = fc.oneof(
  awkward,
  fc.string({ unit: 'grapheme' }),
  pieces.map((parts) => parts.join('')),
)
const { value } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    text,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(text, tie('value'), { maxKeys: 4 }),
  ),
}))

t.test('what is printed is read back as the same value', async () => {
  fc.assert(
    fc.property(value, (json) => {
      const read = readYaml('f', printYaml(json))
      return read.ok && isSame(read.value, json)
    }),
    { numRuns: 2000 },
  )
})

t.test('of a text that can be read the quick reader says the same, or nothing', async (t) => {
  const agrees = (text: string) => {
    const quick = readQuickly(text)
    const read = readYaml('f', text)
    return quick === undefined || !read.ok || isSame(read.value, quick)
  }
  const rows = [...scalars.map(([text]) => `a: ${text}\n`), ...documents.map(([text]) => text)]
  for (const text of rows) t.ok(agrees(text), text)
  fc.assert(fc.property(value, (json) => agrees(printYaml(json))))
  fc.assert(fc.property(text, agrees), { numRuns: 5000 })
  t.strictSame(readQuickly('a: [yes, 0644, "yes", 60:30]\n'), { a: [true, 420, 'yes', '60:30'] })
  t.notOk(saysValue('f', 'a: yes\n', { a: 'yes' }), 'a text that says something else')
})

const streams = [
  { what: 'nothing', text: '', values: [null] },
  { what: 'one document', text: 'a: 1\n', values: [{ a: 1 }] },
  {
    what: 'markers',
    text: '---\na: 1\n---\n---\nb: 1\n---\n',
    values: [{ a: 1 }, null, { b: 1 }, null],
  },
  { what: 'comments before', text: '# x\n---\na: 1\n', values: [null, { a: 1 }] },
  {
    what: 'end markers',
    text: 'a: 1\n...\n# x\n---\nb: 1\n...\n',
    values: [{ a: 1 }, null, { b: 1 }],
  },
  { what: 'directives', text: '%YAML 1.1\n---\na: yes\n', values: [{ a: true }] },
  {
    what: 'line breaks of two characters',
    text: 'a: 1\r\n---\r\nb: 1\r\n',
    values: [{ a: 1 }, { b: 1 }],
  },
  {
    what: 'a marker in a block scalar',
    text: 'a: |\n  ---\n  x\n---\nb: 1',
    values: [{ a: '---\nx\n' }, { b: 1 }],
  },
  { what: 'no marker at all', text: 'a: ---b\n---c: 1\n', values: [{ a: '---b', '---c': 1 }] },
]

for (const { what, text, values } of streams) {
  t.test(`a stream with ${what} is cut without loss`, async (t) => {
    const documents = [...parseDocuments('f', text)].map((read) => {
      return read.ok ? read.value : { text: '', value: read.problems }
    })
    t.strictSame(
      documents.map((document) => document.value),
      values,
    )
    t.equal(documents.map((document) => document.text).join(''), text)
  })
}

t.test('problems count lines through the whole stream', async (t) => {
  const reads = [...parseDocuments('f', 'a: 1\n---\n# x\nb: 1\n  c: 2\n')]
  t.match(reads.at(-1), { ok: false, problems: [{ path: 'f:4:4' }] })
})
