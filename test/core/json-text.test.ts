/** JSON that is printed quickly is the JSON that everybody prints. */
import fc from 'fast-check'
import t from 'tap'
import { keepText, writeJson } from '../../core/json-text.ts'

function textOf(value: unknown): string {
  const pieces: string[] = []
  writeJson(value, pieces)
  return pieces.join('')
}

t.test('any JSON value, kept or not', async (t) => {
  const values = fc.jsonValue({ stringUnit: 'binary' })
  fc.assert(
    fc.property(values, fc.boolean(), (value, isKept) => {
      if (isKept) keepText(value)
      const wrapped = { before: [value, value], after: value }
      // Twice: the first one keeps the text, the second one uses it.
      return [1, 2].every(() => textOf(wrapped) === JSON.stringify(wrapped))
    }),
    { numRuns: 2000 },
  )
  t.pass('2,000 values')
})

t.test('texts and numbers that need care', async (t) => {
  const rows: readonly unknown[] = [
    ['"', '\\', '\n', '\u0000', '\u001f', '\u007f', '\u2028', '\ud800', '\udfff\ud800', '😀', 'é'],
    { '"': 1, '\n': 2, '\ud800': 3, __proto__x: 4, 7: 5, '-0': -0 },
    [-0, 1e21, 1e-7, 0.1, null, true, false, '', [], {}],
    { left: undefined, right: 1 },
    [undefined, 1],
    JSON.parse('{"__proto__": {"a": 1}, "b": 2}'),
  ]
  for (const row of rows) t.equal(textOf(row), JSON.stringify(row))
})
