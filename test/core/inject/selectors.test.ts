import fc from 'fast-check'
import t from 'tap'
import {
  printRequirement,
  readSelector,
  selects,
  type Selector,
} from '../../../core/inject/selectors.ts'
import type { StringMap } from '../../../core/k8s.ts'
import { formatProblem } from '../../../core/problem.ts'

/** The selector that was read; a test that wants one fails where there is none. */
function selector(value: unknown): Selector {
  const read = readSelector('s', value)
  if (!read.ok) throw new Error(read.problems.map(formatProblem).join('\n'))
  return read.value
}

const expression = (key: string, operator: string, ...values: string[]) => ({
  matchExpressions: [{ key, operator, ...(values.length > 0 && { values }) }],
})

const matching: readonly {
  what: string
  selector: unknown
  takes: readonly StringMap[]
  leaves: readonly StringMap[]
}[] = [
  {
    what: 'no selector takes everything',
    selector: undefined,
    takes: [{}, { a: 'b' }],
    leaves: [],
  },
  {
    what: 'the empty selector takes everything',
    selector: {},
    takes: [{}, { a: 'b' }],
    leaves: [],
  },
  {
    what: 'labels must all be there',
    selector: { matchLabels: { a: '1', b: '' } },
    takes: [{ a: '1', b: '', c: '3' }],
    leaves: [{ a: '1' }, { a: '2', b: '' }, {}],
  },
  {
    what: 'In wants the label',
    selector: expression('a', 'In', '1', '2'),
    takes: [{ a: '2' }],
    leaves: [{ a: '3' }, {}],
  },
  {
    what: 'NotIn is content without the label',
    selector: expression('a', 'NotIn', '1', '2'),
    takes: [{ a: '3' }, {}],
    leaves: [{ a: '2' }],
  },
  {
    what: 'Exists takes any value',
    selector: expression('a', 'Exists'),
    takes: [{ a: '' }],
    leaves: [{ b: '' }],
  },
  {
    what: 'DoesNotExist takes none',
    selector: expression('a', 'DoesNotExist'),
    takes: [{ b: '' }],
    leaves: [{ a: '' }],
  },
  {
    what: 'labels and expressions together',
    selector: { matchLabels: { a: '1' }, ...expression('b', 'Exists') },
    takes: [{ a: '1', b: '' }],
    leaves: [{ a: '1' }, { b: '' }],
  },
  {
    what: 'what objects inherit is no label',
    selector: expression('constructor', 'Exists'),
    takes: [],
    leaves: [{}],
  },
]

for (const c of matching) {
  t.test(c.what, async (t) => {
    const read = selector(c.selector)
    t.strictSame(
      c.takes.filter((labels) => !selects(read, labels)),
      [],
    )
    t.strictSame(
      c.leaves.filter((labels) => selects(read, labels)),
      [],
    )
  })
}

const long = 'x'.repeat(64)
const KEY = 'a label key: a name of at most 63 characters, after "domain/" if any'
const VALUE =
  'a label value: at most 63 letters, digits, "-", "_" or ".", alphanumeric at both ends'

const refused: readonly { what: string; selector: unknown; want: readonly string[] }[] = [
  { what: 'text', selector: 'app=web', want: ['s: got "app=web", want a label selector'] },
  {
    what: 'labels that are a list',
    selector: { matchLabels: ['a'] },
    want: ['s.matchLabels: got "[\\"a\\"]", want a map of labels'],
  },
  {
    what: 'a number as a label',
    selector: { matchLabels: { a: 1 } },
    want: [`s.matchLabels[a]: got "1", want ${VALUE}`],
  },
  {
    what: 'a value that ends in a dash',
    selector: { matchLabels: { a: 'b-' } },
    want: [`s.matchLabels[a]: got "b-", want ${VALUE}`],
  },
  {
    what: 'a key without a name, and one with two slashes',
    selector: { matchLabels: { 'a/': '1', 'a/b/c': '1' } },
    want: [
      `s.matchLabels[a/]: got "a/", want ${KEY}`,
      `s.matchLabels[a/b/c]: got "a/b/c", want ${KEY}`,
    ],
  },
  {
    what: 'a key whose domain has capitals, and one whose name is too long',
    selector: { matchLabels: { 'Example.org/a': '1', [long]: '1' } },
    want: [
      `s.matchLabels[Example.org/a]: got "Example.org/a", want ${KEY}`,
      `s.matchLabels[${long}]: got "${long}", want ${KEY}`,
    ],
  },
  {
    what: 'expressions that are a map, and one that is text',
    selector: { matchExpressions: {} },
    want: ['s.matchExpressions: got "{}", want a list of expressions'],
  },
  {
    what: 'an expression that is text',
    selector: { matchExpressions: ['a'] },
    want: ['s.matchExpressions[0]: got "a", want an expression: key, operator, values'],
  },
  {
    what: 'In and NotIn without values',
    selector: {
      matchExpressions: [
        { key: 'a', operator: 'In' },
        { key: 'b', operator: 'NotIn', values: [] },
      ],
    },
    want: [
      's.matchExpressions[0].values: got "[]", want at least one with In',
      's.matchExpressions[1].values: got "[]", want at least one with NotIn',
    ],
  },
  {
    what: 'Exists with values',
    selector: expression('a', 'Exists', 'b'),
    want: ['s.matchExpressions[0].values: got "[\\"b\\"]", want no values with Exists'],
  },
  {
    what: 'nothing right in an expression: all of it is told',
    selector: { matchExpressions: [{ operator: 'toString', values: ['-'] }] },
    want: [
      `s.matchExpressions[0].key: got "nothing", want ${KEY}`,
      's.matchExpressions[0].operator: got "toString", want In, NotIn, Exists or DoesNotExist',
      `s.matchExpressions[0].values[0]: got "-", want ${VALUE}`,
    ],
  },
]

for (const c of refused) {
  t.test(`refused: ${c.what}`, async (t) => {
    const read = readSelector('s', c.selector)
    t.strictSame(read.ok ? [] : read.problems.map(formatProblem), c.want)
  })
}

t.test('requirements are printed as kubectl writes them', async (t) => {
  const read = selector({
    matchLabels: { a: '1' },
    matchExpressions: [
      { key: 'b', operator: 'NotIn', values: ['x', 'y'] },
      { key: 'c', operator: 'Exists' },
      { key: 'd', operator: 'DoesNotExist' },
    ],
  })
  t.strictSame(read.map(printRequirement), ['a in (1)', 'b notin (x,y)', 'c', '!d'])
})

const key = fc.constantFrom('a', 'b')
const value = fc.constantFrom('', 'x', 'y')
const anyLabels = fc.dictionary(key, value)

t.test('In and NotIn, Exists and DoesNotExist part the world', async (t) => {
  fc.assert(
    fc.property(key, fc.array(value, { minLength: 1 }), anyLabels, (name, values, labels) => {
      const takes = (operator: string, ...of: string[]) => {
        return selects(selector(expression(name, operator, ...of)), labels)
      }
      t.not(takes('In', ...values), takes('NotIn', ...values))
      t.not(takes('Exists'), takes('DoesNotExist'))
    }),
  )
})

t.test('any JSON is read or refused with a place inside it', async (t) => {
  const part = fc.oneof(fc.jsonValue(), fc.constantFrom(null, {}, []))
  const anything = fc.oneof(part, fc.record({ matchLabels: part, matchExpressions: part }))
  fc.assert(
    fc.property(anything, (value) => {
      const read = readSelector('s', value)
      t.ok(read.ok || read.problems.every(({ path }) => path.startsWith('s')))
    }),
  )
})
