import t from 'tap'
import { TEMPLATE_TEXTS } from '../../../core/generated/templates.ts'
import { CONTEXT_SCHEMA, type TemplateContext } from '../../../core/inject/context-schema.ts'
import { sampleOf } from '../../../core/inject/schema.ts'
import { compileTemplate } from '../../../core/inject/template.ts'
import { formatProblem } from '../../../core/problem.ts'

const sample = sampleOf(CONTEXT_SCHEMA) as unknown as TemplateContext
const lookups = {
  annotations: { 'a/b': 'from annotation', empty: '' },
  labels: { app: 'shop' },
  values: { global: { hub: 'h', list: [1, 2], no: false } },
}

function render(text: string, context: TemplateContext = sample): unknown {
  const template = compileTemplate('x', text, 'any')
  if (!template.ok) throw new Error(template.problems.map(formatProblem).join('\n'))
  return template.value.render(context, lookups)
}

t.test('refused at load, with line and column', async (t) => {
  const cases = [
    { what: 'an unknown path', text: 'a: {{json revisoin}}', at: '1:11', says: 'revisoin' },
    {
      what: 'a path below a value',
      text: 'a: 1\nb: {{json revision.length}}',
      at: '2:11',
      says: 'revision.length',
    },
    {
      what: 'a prototype member',
      text: 'a: {{json labels.constructor}}',
      at: '1:11',
      says: 'constructor',
    },
    {
      what: 'a path out of the context',
      text: 'a: {{json ../revision}}',
      at: '1:11',
      says: '../revision',
    },
    { what: 'an unknown helper', text: 'a: {{toYaml revision}}', at: '1:4', says: 'toYaml' },
    {
      what: 'an unknown helper inside',
      text: 'a: {{json (upper revision)}}',
      at: '1:11',
      says: 'upper',
    },
    {
      what: 'the lookup helper',
      text: 'a: {{json (lookup labels revision)}}',
      at: '1:11',
      says: 'lookup',
    },
    { what: 'a bare path', text: 'a: {{revision}}', at: '1:4', says: 'revision' },
    {
      what: 'triple-stash',
      text: 'a: 1\n\n  b: {{{json revision}}}',
      at: '3:6',
      says: 'two braces',
    },
    { what: 'an unescaped mustache', text: 'a: {{&json revision}}', at: '1:4', says: 'two braces' },
    { what: 'a partial', text: 'a: 1\n{{> other}}', at: '2:1', says: 'PartialStatement' },
    {
      what: 'an inline partial',
      text: '{{#*inline "x"}}a{{/inline}}',
      at: '1:1',
      says: 'DecoratorBlock',
    },
    { what: 'a raw block', text: '{{{{raw}}}} a {{{{/raw}}}}', at: '1:1', says: 'raw' },
    { what: 'a block on a path', text: '{{#apps}}a: 1{{/apps}}', at: '1:1', says: 'apps' },
    { what: 'each over text', text: '{{#each revision}}a: 1{{/each}}', at: '1:9', says: 'a list' },
    {
      what: 'a loop variable outside a loop',
      text: 'a: {{json @index}}',
      at: '1:11',
      says: '@index',
    },
    { what: 'private data', text: 'a: {{json @slots}}', at: '1:11', says: '@slots' },
    { what: 'named arguments', text: 'a: {{json revision x=1}}', at: '1:4', says: 'named' },
    {
      what: 'an unknown path in a branch that is not taken',
      text: '{{#unless proxy.isNative}}a: {{json nope}}{{/unless}}',
      at: '1:37',
      says: 'nope',
    },
    {
      what: 'a block that is not closed',
      text: 'a: 1\n{{#if revision}}',
      at: '2:',
      says: 'syntax',
    },
  ]
  for (const { what, text, at, says } of cases) {
    const template = compileTemplate('x', text, 'any')
    const told = template.ok ? 'no problem' : template.problems.map(formatProblem).join('\n')
    t.match(told, `template x:${at}`, `${what}: where`)
    t.match(told, says, `${what}: what`)
  }
})

t.test('refused at load, by trying it', async (t) => {
  const cases = [
    { what: 'a value inside a longer text', text: 'a: x-{{json revision}}', says: '{{json' },
    { what: 'a value between quotes', text: 'a: "{{json revision}}"', says: 'template x:1' },
    { what: 'text that is no YAML', text: 'a: [', says: 'template x:1' },
    { what: 'a list instead of a map', text: '- a', says: 'a map' },
    { what: 'our own mark', text: 'a: "@slot:0;"', says: '@slot' },
  ]
  for (const { what, text, says } of cases) {
    const template = compileTemplate('x', text, 'any')
    t.match(
      template.ok ? 'no problem' : template.problems.map(formatProblem).join('\n'),
      says,
      what,
    )
  }
})

t.test('what templates can say', async (t) => {
  const cases = [
    {
      what: 'a value of each kind',
      text: 'a: {{json revision}}\nb: {{json proxy.isNative}}\nc: {{json proxy.uid}}\nd: {{json resources}}',
      want: { a: 'default', b: true, c: 1337, d: {} },
    },
    {
      what: 'literals',
      text: 'a: {{json "x"}}\nb: {{json 3}}\nc: {{json true}}\nd: {{json null}}',
      want: { a: 'x', b: 3, c: true, d: null },
    },
    { what: 'a key', text: '{{json revision}}: 1', want: { default: 1 } },
    {
      what: 'a list with this',
      text: 'a:\n{{#each imagePullSecrets}}\n- {{json this}}\n{{/each}}',
      want: { a: ['name of a Secret'].map(() => 'text') },
    },
    {
      what: 'a list with members and loop variables',
      text: 'a:\n{{#each proxyMetadata}}\n- {name: {{json name}}, i: {{json @index}}, l: {{json @last}} }\n{{/each}}',
      want: { a: [{ name: 'text', i: 0, l: true }] },
    },
    {
      what: 'block parameters and the way up',
      text: '{{#each proxyMetadata as |m|}}\na: {{json m.name}}\nb: {{json ../revision}}\nc: {{json @root.revision}}\n{{/each}}',
      want: { a: 'text', b: 'default', c: 'default' },
    },
    { what: 'with', text: '{{#with proxy}}a: {{json uid}}{{/with}}', want: { a: 1337 } },
    { what: 'concat', text: 'a: {{json (concat "--u=" proxy.uid)}}', want: { a: '--u=1337' } },
    {
      what: 'conditions',
      text: '{{#if (and (eq revision "default") (not cni.isEnabled))}}a: 1{{else}}a: 2{{/if}}',
      want: { a: 1 },
    },
    {
      what: 'the first that says something',
      text: 'a: {{json (or (label "none") (annotation "a/b"))}}',
      want: { a: 'from annotation' },
    },
    {
      what: 'an annotation that is empty is there',
      text: 'a: {{json (annotation "empty" "default")}}',
      want: { a: '' },
    },
    {
      what: 'an annotation that is missing',
      text: 'a: {{json (annotation "none" "default")}}',
      want: { a: 'default' },
    },
    {
      what: 'a member of every object is no annotation',
      text: 'a: {{json (annotation "constructor")}}',
      want: { a: null },
    },
    {
      what: 'values by path',
      text: 'a: {{json (value "global.hub")}}\nb: {{json (value "global.list")}}\nc: {{json (value "global.none" 7)}}',
      want: { a: 'h', b: [1, 2], c: 7 },
    },
    { what: 'nothing', text: '{{#if cni.isEnabled}}a: 1{{/if}}', want: {} },
    {
      what: 'indentYaml',
      text: 'a:\n  {{indentYaml 2 proxy.addedCapabilities}}',
      want: { a: ['NET_ADMIN'] },
    },
  ]
  for (const { what, text, want } of cases) t.strictSame(render(text), want, what)
})

t.test('a value cannot leave its place', async (t) => {
  const nasty = [
    'a\nb: 1',
    'a"\n  - name: evil',
    "it's",
    '---\nkind: Pod',
    '...',
    '&anchor',
    '*alias',
    '!!tag',
    '{flow: 1}',
    '[1, 2]',
    '# comment',
    'x: y',
    '{{json revision}}',
    '{{{raw}}}',
    '@slot:0;',
    '@slot:1',
    '\u0000',
    '\u2028',
    '\u2029',
    '\u0085',
    '\ufeff',
    '\ud800',
    '\t',
    '',
    ' ',
    '~',
    'null',
    'yes',
    '0644',
    '1e3',
    '|',
    '>-',
    '? k',
    '%YAML 1.1',
    '__proto__',
    '\\n',
    '\r\n',
    'é'.repeat(300),
  ]
  const text =
    '{{json revision}}: {{json labels.tlsMode}}\nlist:\n- {{json (concat "--x=" revision)}}\n- last\n'
  for (const [index, value] of nasty.entries()) {
    const got = render(text, {
      ...sample,
      revision: value,
      labels: { ...sample.labels, tlsMode: value },
    })
    const want = JSON.parse(
      `{${JSON.stringify(value)}:${JSON.stringify(value)},"list":[${JSON.stringify(`--x=${value}`)},"last"]}`,
    )
    t.strictSame(got, want, `text ${index}`)
  }
})

t.test('texts that differ only in values are read once, and never mixed up', async (t) => {
  const template = compileTemplate('x', 'a: {{json revision}}\nb: [{{json proxy.uid}}]', 'any')
  if (!template.ok) throw new Error('does not compile')
  for (let n = 0; n < 1000; n++) {
    const overlay = template.value.render(
      { ...sample, revision: `r${n}`, proxy: { ...sample.proxy, uid: n } },
      lookups,
    )
    if (overlay['a'] !== `r${n}`) t.fail(`render ${n} got ${JSON.stringify(overlay)}`)
  }
  t.strictSame(template.value.render({ ...sample, revision: 'z' }, lookups), { a: 'z', b: [1337] })
})

t.test('every built-in template passes', async (t) => {
  for (const [set, texts] of Object.entries(TEMPLATE_TEXTS)) {
    for (const [name, text] of Object.entries(texts)) {
      const template = compileTemplate(`${set}/${name}`, text)
      t.strictSame(template.ok ? [] : template.problems, [], `${set}/${name}`)
    }
  }
})
