import fc from 'fast-check'
import t from 'tap'
import { canonicalQuantity, isSameQuantity, readQuantity } from '../../../core/inject/quantity.ts'

/** Text and what Go's resource.Quantity prints for it (apimachinery 0.36.3). */
const printed: readonly (readonly [string, string])[] = [
  ['0', '0'],
  ['00', '0'],
  ['.', '0'],
  ['+', '0'],
  ['Mi', '0'],
  ['-0', '0'],
  ['5.', '5.'],
  ['+1', '+1'],
  ['+.5', '500m'],
  ['0.5', '500m'],
  ['00100m', '00100m'],
  ['2000m', '2'],
  ['1500m', '1500m'],
  ['-1', '-1'],
  ['1000', '1k'],
  ['1024', '1024'],
  ['1000000', '1M'],
  ['1000Mi', '1000Mi'],
  ['1024Mi', '1Gi'],
  ['1028Mi', '1028Mi'],
  ['1048576Ki', '1Gi'],
  ['1.5Gi', '1536Mi'],
  ['0.1Gi', '107374182400m'],
  ['0.5Ki', '512'],
  ['.0000000001Ki', '103n'],
  ['1e3', '1e3'],
  ['1E3', '1E3'],
  ['1e4', '10e3'],
  ['1e-3', '1e-3'],
  ['1e1000', '10e999'],
  ['0.0000000001', '1n'],
  ['-0.00000000001', '-1n'],
  ['1u', '1u'],
  ['1E', '1E'],
  ['1Ei', '1Ei'],
  ['7Ei', '7Ei'],
  ['8Ei', '9223372036854775807'],
  ['9223372036854775808Ki', '9223372036854775807'],
  ['9223372036854775807', '9223372036854775807'],
  ['12345678901234567890', '12345678901234567890'],
  ['1000000000e-9', '1'],
]

t.test('prints as Kubernetes does', async (t) => {
  for (const [text, want] of printed) t.equal(canonicalQuantity(text), want, text)
})

t.test('what is too large for the suffixes keeps its value, which Go loses', async (t) => {
  t.equal(canonicalQuantity('1000E'), '1e21')
  t.ok(isSameQuantity('1000E', '1e21'))
})

const refused = [
  '',
  'x',
  '1K',
  '1ki',
  '1B',
  '1KiB',
  '1 Gi',
  ' 1',
  '1\n',
  '1e',
  '--1',
  '1.2.3',
  '.e-20',
]
refused.push(
  '1e3Mi',
  '1i',
  '0x10',
  'NaN',
  '1_000',
  '1,5',
  '\u0661',
  '1\u00a0',
  'e-20',
  '1e9223372036854775808',
)

t.test('refuses with what is right', async (t) => {
  for (const text of refused) {
    const want = [{ path: 'cpu', got: text, want: 'a quantity such as 100m, 1.5 or 1Gi' }]
    t.strictSame(readQuantity('cpu', text), { ok: false, problems: want }, JSON.stringify(text))
  }
})

t.test('values are compared, not texts', async (t) => {
  const rows = [
    { a: '1', b: '1000m', same: true },
    { a: '1Gi', b: '1024Mi', same: true },
    { a: '1e3', b: '1k', same: true },
    { a: '0Mi', b: '-0', same: true },
    { a: '1', b: '1001m', same: false },
    { a: '1', b: '-1', same: false },
    { a: '1', b: 'one', same: false },
    { a: 'one', b: 'one', same: false },
  ]
  for (const { a, b, same } of rows) t.equal(isSameQuantity(a, b), same, `${a} and ${b}`)
})

const amount = fc
  .tuple(
    fc.constantFrom('', '-', '+'),
    fc.bigInt({ min: 0n, max: 10n ** 25n }).map(String),
    fc.constantFrom('', '.5', '.125', '.000000000001'),
    fc.constantFrom('', 'n', 'u', 'm', 'k', 'M', 'G', 'Ki', 'Mi', 'Gi', 'Ei', 'e3', 'E-7', 'e+40'),
  )
  .map((parts) => parts.join(''))

t.test('law: the canonical form is canonical and means the same', async () => {
  fc.assert(
    fc.property(amount, (text) => {
      const canonical = canonicalQuantity(text) ?? ''
      return isSameQuantity(text, canonical) && canonicalQuantity(canonical) === canonical
    }),
    { numRuns: 2000 },
  )
})

t.test('a hostile text costs nothing', async (t) => {
  t.equal(canonicalQuantity(`${'0'.repeat(100_000)}x`), undefined)
  t.equal(canonicalQuantity('1e-2147483647'), '1e-9')
  t.equal(canonicalQuantity(`1234567890123456789e2147483646`), '1234567890123456789e2147483646')
})
