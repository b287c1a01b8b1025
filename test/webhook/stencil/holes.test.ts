/** The table of holes against the code that injects: what it asks about by name is part of the shape. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  FREE_EXTREMES,
  GRAMMARS,
  isSteering,
  LIST_EXTREMES,
  LIST_MARK,
  MARK,
  rulesOf,
} from '../../../webhook/stencil/holes.ts'
import { endOfList } from '../../../webhook/stencil/ends.ts'
import { configOf } from '../../support/config.ts'

const ROOT = join(import.meta.dirname, '../../..')

/** Labels and annotations that injection reads only to copy them. */
const COPIED = [
  'app.kubernetes.io/name',
  'app.kubernetes.io/version',
  'kubernetes.io/metadata.name',
]

/** Texts in the sources that look like keys of labels and annotations. */
function keysIn(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|hbs)$/.test(name))
    .flatMap((name) => {
      const text = readFileSync(join(ROOT, folder, name), 'utf8')
      return [...text.matchAll(/['"`]((?:[a-z0-9-]+\.)+[a-z]{2,}\/[\w./-]*)['"`]/g)]
    })
    .map(([, key = '']) => key)
}

t.test('every key that injection knows is part of the shape, or is only copied', async (t) => {
  const keys = new Set([
    ...keysIn('core/inject'),
    ...keysIn('core/options'),
    ...keysIn('templates'),
  ])
  keys.add('sidecar-injector.io/redirect-plan')
  t.ok(keys.size > 50, `${keys.size} keys`)
  for (const key of keys) {
    if (!COPIED.includes(key)) t.ok(isSteering(key), key)
  }
})

t.test('marks and extremes fit the grammar that they stand in for', async (t) => {
  for (const [name, { fits, extremes, mark }] of Object.entries(GRAMMARS)) {
    t.equal(extremes.length, FREE_EXTREMES.length, `${name}: one for each turn`)
    t.equal(new Set(extremes).size, extremes.length, `${name}: all different`)
    for (const text of [...extremes, mark(0), mark(99)]) {
      t.ok(fits(text), `${name}: ${text}`)
      t.equal(JSON.stringify(text), `"${text}"`, 'nothing to escape')
      t.notMatch(text, /[<>&\u2028\u2029]/, 'nor for Go')
    }
    for (const text of extremes) t.notMatch(text, MARK)
    const [, ...groups] = MARK.exec(mark(7)) ?? []
    t.equal(groups.join(''), '7'.padStart(name === 'access' ? 3 : 1, '0'))
    for (const text of ['', '"', '\\', '\n', 'é', '\u0000', 'x'.repeat(300)]) {
      t.notOk(fits(text), `${name}: not ${JSON.stringify(text)}`)
    }
  }
})

t.test('a list that must not come out is a list, whatever it holds', async (t) => {
  t.equal(LIST_EXTREMES.length, FREE_EXTREMES.length, 'one for each turn')
  for (const list of [...LIST_EXTREMES, LIST_MARK]) {
    t.ok(Array.isArray(JSON.parse(list)), list)
    t.equal(endOfList(`${list},`, 0), list.length, 'all of it is found')
  }
})

t.test('what a configuration asks about is part of the shape', async (t) => {
  const isKnown = (namespace: string, mesh = ''): boolean | undefined =>
    rulesOf(configOf({ mesh }))?.isKnownNamespace(namespace)
  t.equal(isKnown('shop'), false)
  t.equal(isKnown('kube-system'), true)
  t.equal(isKnown('istio-system'), true)
  t.equal(isKnown('root', 'rootNamespace: root\n'), true)
  const own = 'templates: {sidecar: "spec: {}", other: "spec: {}"}'
  t.equal(rulesOf(configOf({ injectConfig: own })), undefined, "a template of the operator's own")
})
