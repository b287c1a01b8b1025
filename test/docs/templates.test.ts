/** The guide for authors of templates: every example in it does what the page says. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { injectPod } from '../../core/inject/inject.ts'
import { readInjectConfig, type InjectConfig } from '../../core/inject/config.ts'
import { compileTemplate } from '../../core/inject/template.ts'
import { isArray, isObject, type Json, type JsonObject } from '../../core/json.ts'
import { formatProblem, type Read } from '../../core/problem.ts'
import { readYaml, printYaml } from '../../core/yaml.ts'
import { digest, requestFor } from '../support/config.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/guides/templates.md'), 'utf8')

type Block = { readonly line: number; readonly info: string; readonly text: string }

const blocks: readonly Block[] = [...page.matchAll(/^```(\w[^\n]*)\n([\s\S]*?)^```$/gm)].map(
  (match) => ({
    line: page.slice(0, match.index).split('\n').length,
    info: match[1] ?? '',
    text: match[2] ?? '',
  }),
)

const pod = {
  metadata: { name: 'p', labels: { team: 'shop', app: 'web' } },
  spec: { containers: [{ name: 'app', image: 'nginx' }] },
}

function read(text: string): Read<InjectConfig> {
  return readInjectConfig({
    injectConfig: { path: 'config', text },
    istioVersion: 'current',
    revision: '',
    digest,
  })
}

/** The pod injected with the sidecar and the template; the message of what was refused. */
function injected(config: string): JsonObject | string {
  const made = read(config)
  if (!made.ok) return made.problems.map(formatProblem).join('\n')
  const decision = injectPod(requestFor(pod), made.value)
  if (decision.kind !== 'inject') return JSON.stringify(decision)
  return JSON.parse(JSON.stringify(decision.pod)) as JsonObject
}

function configWith(template: string): string {
  return printYaml({ templates: { example: template }, defaultTemplates: ['sidecar', 'example'] })
}

/** Whether everything that the part says stands in the whole; items of lists are found by their name. */
function holds(whole: Json | undefined, part: Json | undefined): boolean {
  if (isArray(part)) {
    if (!isArray(whole)) return false
    return part.every((item) => whole.some((each) => holds(each, item)))
  }
  if (!isObject(part)) return whole === part
  return isObject(whole) && Object.keys(part).every((key) => holds(whole[key], part[key]))
}

t.test('the page has examples of every kind', async (t) => {
  const kinds = new Set(blocks.map(({ info }) => info))
  t.strictSame(
    [...kinds].sort(),
    ['go', 'handlebars', 'handlebars refused', 'text', 'yaml', 'yaml config'],
    'and no others',
  )
})

for (const [index, { line, info, text }] of blocks.entries()) {
  const next = blocks[index + 1]
  if (info === 'handlebars') {
    t.test(`line ${line} is compiled and rendered`, async (t) => {
      const out = injected(configWith(text))
      t.type(out, 'object', typeof out === 'string' ? out : 'injected')
      if (next?.info !== 'yaml') return
      const want = readYaml('page', next.text)
      t.equal(want.ok, true)
      if (want.ok && typeof out !== 'string') t.ok(holds(out, want.value), JSON.stringify(out))
    })
  }
  if (info === 'handlebars refused') {
    t.test(`line ${line} is refused with the words of the page`, async (t) => {
      const out = injected(configWith(text))
      t.equal(typeof out === 'string' ? `${out}\n` : out, next?.text)
    })
  }
  if (info === 'yaml config') {
    t.test(`line ${line} is a configuration`, async (t) => {
      const out = injected(`${text}defaultTemplates: [sidecar, team]\n`)
      const env = {
        spec: { containers: [{ name: 'istio-proxy', env: [{ name: 'TEAM', value: 'shop' }] }] },
      }
      t.ok(holds(typeof out === 'string' ? null : out, env), JSON.stringify(out))
    })
  }
  if (info === 'go') {
    t.test(`line ${line} is refused as a Go template`, async (t) => {
      t.match(injected(configWith(text)), /^template example: got "a Go template"/)
    })
  }
}

t.test('every cell of the rewriting table compiles', async (t) => {
  const rows = [...page.matchAll(/^\| `.*$/gm)].map(([row]) => row.split(' | ').at(-1) ?? '')
  const cells = rows.flatMap((row) =>
    [...row.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ''),
  )
  const tried = cells.filter((cell) => /^\{\{(json|indentYaml|#)/.test(cell))
  t.ok(tried.length >= 12, `${tried.length} cells`)
  for (const cell of tried) {
    // Names that stand for any value of the context, and the end of a block that the cell leaves out.
    const named = cell.replace(/\ba\b(?!["-])/g, 'revision').replace(/\bb\b/g, 'statusPort')
    const isOpen = named.startsWith('{{#') && !named.includes('{{/')
    const end = isOpen ? `x{{/${named.startsWith('{{#if') ? 'if' : 'each'}}}` : ''
    const template = named.startsWith('{{#')
      ? `a: 1 # ${named}${end}`.replaceAll('…', ' ')
      : `a: ${named}`
    const compiled = compileTemplate('cell', template, 'any')
    t.equal(compiled.ok, true, `${cell}: ${JSON.stringify(compiled)}`)
  }
})
