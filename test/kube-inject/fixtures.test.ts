import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { readInjectConfig } from '../../core/inject/config.ts'
import { injectPod } from '../../core/inject/inject.ts'
import type { Inject } from '../../kube-inject/inject-document.ts'
import { injectText } from '../support/inject-text.ts'
import { standIn } from './stand-in.ts'

const folder = new URL('../fixtures/manifests/', import.meta.url)
const config = readInjectConfig({ istioVersion: 'current', revision: '', digest: () => 'digest' })
if (!config.ok) throw new Error(JSON.stringify(config.problems))
const real: Inject = (request) => injectPod(request, config.value)

/** Source lines that injection has to write anew; every other line comes out as it went in. */
const rewritten: Readonly<Record<string, readonly string[]>> = {
  'anchors.yaml': ['      labels: *labels # the same three times'],
  'flow.yaml': [
    'metadata: {name: tiny, labels: {app: tiny}} # short',
    'spec: {containers: [{name: tiny, image: tiny}], restartPolicy: Never}',
    '{apiVersion: v1, kind: Pod, metadata: {name: braces}, spec: {',
    '    ],',
  ],
  'kinds.yaml': ['metadata: {name: pod}', '    metadata: {name: inner}'],
  'shared-list.yaml': [
    '        labels: &labels {app: one}',
    '    selector: *labels',
    '    template: *template # what it was',
  ],
  // A literal that ended the file without a line break says so once something stands behind it.
  'last-scalar.yaml': ['    - |'],
}

/** The same text as other editors leave it. */
const variants: readonly { readonly what: string; readonly of: (text: string) => string }[] = [
  { what: 'as it is', of: (text) => text },
  { what: 'with line breaks of two characters', of: (text) => text.replaceAll('\n', '\r\n') },
  { what: 'with a byte order mark', of: (text) => `\uFEFF${text}` },
  { what: 'without its last line break', of: (text) => text.replace(/\n$/, '') },
]

const yaml = readdirSync(folder).filter((name) => name.endsWith('.yaml'))
t.ok(yaml.length >= 10, 'the fixtures are there')

for (const name of yaml) {
  const source = readFileSync(new URL(name, folder), 'utf8')
  for (const { what, of } of variants) {
    t.test(`${name} ${what} keeps its lines`, async (t) => {
      const text = of(source)
      for (const [who, inject] of [
        ['stand-in', standIn],
        ['injection', real],
      ] as const) {
        const lost = lostLines(text, injected(name, text, inject))
        const allowed = rewritten[name] ?? []
        t.strictSame(
          lost.filter((line) => !allowed.includes(line.trimEnd())),
          [],
          who,
        )
      }
    })
  }
}

t.test('documents of other kinds come out byte for byte', async (t) => {
  const source = readFileSync(new URL('unknown.yaml', folder), 'utf8')
  for (const { what, of } of variants) {
    // A byte order mark before a directive is no comment line.
    const text = of(source)
    t.equal(injected('unknown.yaml', text, real), text, what)
  }
})

t.test('JSON comes out as JSON', async (t) => {
  for (const name of readdirSync(folder).filter((one) => one.endsWith('.json'))) {
    const text = readFileSync(new URL(name, folder), 'utf8')
    const output = injected(name, text, real)
    t.match(JSON.parse(output), { kind: JSON.parse(text).kind }, name)
    t.equal(output.endsWith('\n'), text.endsWith('\n'), name)
    t.equal(/\n\t/.test(output), /\n\t/.test(text), name)
    t.equal(output.includes('\n'), text.includes('\n'), name)
  }
})

t.test('injecting what is injected changes nothing', async (t) => {
  for (const name of readdirSync(folder)) {
    const once = injected(name, readFileSync(new URL(name, folder), 'utf8'), real)
    t.equal(injected(name, once, real), once, name)
  }
})

t.test('all kinds are injected', async (t) => {
  const text = readFileSync(new URL('kinds.yaml', folder), 'utf8')
  const output = injected('kinds.yaml', text, real)
  t.equal(output.split('sidecar.istio.io/status:').length - 1, 8)
})

function injected(name: string, text: string, inject: Inject): string {
  return injectText(name, text, { inject, nativeSidecars: false })
}

/** The lines of the source that the output has not, in order. */
function lostLines(source: string, output: string): readonly string[] {
  const lost: string[] = []
  const lines = output.split('\n')
  let at = 0
  for (const line of source.split('\n')) {
    const found = lines.indexOf(line, at)
    if (found < 0) lost.push(line)
    else at = found + 1
  }
  return lost
}
