import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommanderError } from 'commander'
import t from 'tap'
import { Refusal } from '../../core/problem.ts'
import { kubeInjectCommand } from '../../kube-inject/command.ts'

const pod =
  'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: a # kept\n'
const bad = pod.replace(
  'name: p',
  'name: bad, annotations: {traffic.sidecar.istio.io/excludeInboundPorts: http}',
)

/** Runs the command as the program does: exit status, and what it says. */
async function run(...argv: readonly string[]): Promise<{ status: number; says: string }> {
  const said: string[] = []
  const command = kubeInjectCommand()
    .exitOverride()
    .configureOutput({ writeErr: (text) => said.push(text), writeOut: (text) => said.push(text) })
  try {
    await command.parseAsync([...argv], { from: 'user' })
    return { status: 0, says: '' }
  } catch (cause) {
    if (cause instanceof Refusal) return { status: 1, says: cause.message }
    if (cause instanceof CommanderError) return { status: 2, says: said.join('') }
    throw cause
  }
}

t.test('injects files and folders into one file', async (t) => {
  const folder = t.testdir({
    in: {
      'b.yaml': pod,
      'a.yml': '# only a comment\n',
      'c.txt': 'no manifest',
      sub: { 'd.json': '{"kind": "X"}' },
    },
    'last.yaml': '---\nkind: Y\n',
  })
  const output = join(folder, 'out.yaml')
  const result = await run('-f', join(folder, 'in'), '-f', join(folder, 'last.yaml'), '-o', output)
  t.strictSame(result, { status: 0, says: '' })
  const text = readFileSync(output, 'utf8')
  t.match(text, /^# only a comment\n---\napiVersion: v1\n/)
  t.match(text, '  - name: a # kept\n  - name: istio-proxy\n')
  t.match(text, /\n---\n\{"kind": "X"\}\n---\nkind: Y\n$/)
  t.strictSame(readdirSync(folder).toSorted(), ['in', 'last.yaml', 'out.yaml'])
})

t.test('writes over its input, keeping the mode', async (t) => {
  const folder = t.testdir({ 'p.yaml': pod })
  const file = join(folder, 'p.yaml')
  chmodSync(file, 0o666)
  t.equal((await run('-f', file, '-o', file)).status, 0)
  t.match(readFileSync(file, 'utf8'), 'istio-proxy')
  t.equal(statSync(file).mode & 0o777, 0o666)
})

t.test('one bad document: nothing is written, and all problems are told', async (t) => {
  const folder = t.testdir({
    'p.yaml': `${pod}---\n${bad}---\n${bad}---\na: [\n`,
    'out.yaml': 'old',
  })
  const file = join(folder, 'p.yaml')
  const output = join(folder, 'out.yaml')
  const { status, says } = await run('-f', file, '-o', output)
  t.equal(status, 1)
  t.match(says.split('\n'), [
    /p\.yaml:7: document 2, Pod "bad": traffic\S+excludeInboundPorts: got "http", want a port/,
    /p\.yaml:14: document 3, Pod "bad": traffic\S+excludeInboundPorts: got "http", want a port/,
    /p\.yaml:23:1: got "", want well-formed YAML/,
  ])
  t.equal(readFileSync(output, 'utf8'), 'old')
  t.strictSame(readdirSync(folder).toSorted(), ['out.yaml', 'p.yaml'])
})

t.test('configuration files are laid over the defaults', async (t) => {
  const folder = t.testdir({
    'p.yaml': pod,
    'values.yaml': 'global: {hub: registry.example, tag: "9"}\n',
    'mesh.yaml': '\uFEFFtrustDomain: example.org\n',
    'inject.yaml': 'policy: disabled\n',
  })
  const at = (name: string): string => join(folder, name)
  const flags = ['--valuesFile', at('values.yaml'), '--meshConfigFile', at('mesh.yaml')]
  const result = await run(
    '-f',
    at('p.yaml'),
    '-o',
    at('o'),
    ...flags,
    '--injectConfigFile',
    at('inject.yaml'),
  )
  t.strictSame(result, { status: 0, says: '' })
  t.match(readFileSync(at('o'), 'utf8'), 'image: registry.example/proxyv2:9\n')
  t.match(readFileSync(at('o'), 'utf8'), 'value: example.org\n')
})

t.test('a native sidecar is made where the environment says so', async (t) => {
  const folder = t.testdir({ 'p.yaml': pod })
  const output = join(folder, 'out.yaml')
  const flags = ['-f', join(folder, 'p.yaml'), '-o', output]
  process.env['ENABLE_NATIVE_SIDECARS'] = 'true'
  t.teardown(() => {
    delete process.env['ENABLE_NATIVE_SIDECARS']
  })
  await run(...flags)
  t.match(readFileSync(output, 'utf8'), 'restartPolicy: Always')
  process.env['ENABLE_NATIVE_SIDECARS'] = 'auto'
  await run(...flags)
  t.notMatch(readFileSync(output, 'utf8'), 'restartPolicy: Always')
})

t.test('each file can be written over itself, where it changes', async (t) => {
  const folder = t.testdir({ 'a.yaml': pod, 'b.yaml': 'kind: X\n', 'c.json': '{"kind":"Y"}' })
  const at = (name: string): string => join(folder, name)
  const before = statSync(at('b.yaml')).mtimeMs
  t.strictSame(await run('-f', folder, '--in-place'), { status: 0, says: '' })
  t.match(readFileSync(at('a.yaml'), 'utf8'), 'istio-proxy')
  t.equal(statSync(at('b.yaml')).mtimeMs, before)
  t.strictSame(readdirSync(folder).toSorted(), ['a.yaml', 'b.yaml', 'c.json'])

  writeFileSync(at('a.yaml'), pod)
  writeFileSync(at('d.yaml'), bad)
  t.equal((await run('-f', folder, '--in-place')).status, 1)
  t.equal(readFileSync(at('a.yaml'), 'utf8'), pod, 'one bad file: none is written')
})

t.test('a check names what is not up to date and writes nothing', async (t) => {
  const folder = t.testdir({ 'a.yaml': `kind: X\n---\n${pod}` })
  const file = join(folder, 'a.yaml')
  t.match(await run('-f', file, '--check'), {
    status: 1,
    says: /a\.yaml:2: document 2: got "no sidecar, or another one", want the one that kube-inject/,
  })
  t.equal(readFileSync(file, 'utf8'), `kind: X\n---\n${pod}`)
  await run('-f', file, '--in-place')
  t.strictSame(await run('-f', file, '--check'), { status: 0, says: '' })
  t.equal((await run('-f', file, '--check', '--valuesFile', join(folder, 'none'))).status, 1)
})

t.test('every flag is on the reference page', async (t) => {
  const page = readFileSync(new URL('../../docs/reference/kube-inject.md', import.meta.url), 'utf8')
  for (const { long, short } of kubeInjectCommand().options) {
    t.match(page, `\`${long ?? ''}`, long ?? '')
    if (short !== undefined) t.match(page, `\`${short}\``, short)
  }
})

const usage = [
  { what: 'no file', argv: [], says: /--filename/ },
  {
    what: 'a path of a pod template that is none',
    argv: ['-f', 'x', '--pod-template-path', 'rollout=spec'],
    says: /Kind\.group=\/path\/of\/template, or one of argo, knative/,
  },
  { what: 'standard input twice', argv: ['-f', '-', '-f', '-'], says: /read only once/ },
  {
    what: 'standard input in place',
    argv: ['-f', '-', '--in-place'],
    says: /cannot be written in place/,
  },
  {
    what: 'a check with an output',
    argv: ['-f', 'x', '--check', '-o', 'y'],
    says: /cannot be used with/,
  },
  {
    what: 'in place with an output',
    argv: ['-f', 'x', '--in-place', '-o', 'y'],
    says: /cannot be used with/,
  },
  { what: 'an unknown flag', argv: ['-f', 'x', '--nope'], says: /unknown option/ },
  { what: 'an unknown version', argv: ['-f', 'x', '--istio-version', '1.2'], says: /1\.17/ },
  { what: 'a word too many', argv: ['-f', 'x', 'y'], says: /too many arguments/ },
]

for (const { what, argv, says } of usage) {
  t.test(`${what} is wrong usage`, async (t) => {
    t.match(await run(...argv), { status: 2, says })
  })
}

t.test('files that cannot be read or written are named', async (t) => {
  const folder = t.testdir({
    'p.yaml': pod,
    'latin.yaml': Buffer.from('a: 1\nb: caf\xe9\n', 'latin1'),
  })
  mkdirSync(join(folder, 'there'))
  const at = (name: string): string => join(folder, name)
  const rows = [
    { argv: ['-f', at('none.yaml')], says: /none\.yaml: got "ENOENT.*want a file or folder/ },
    { argv: ['-f', at('latin.yaml')], says: /latin\.yaml:2:7: got "byte 0xe9", want UTF-8 text/ },
    { argv: ['-f', at('p.yaml'), '--valuesFile', at('no')], says: /no: got "ENOENT/ },
    { argv: ['-f', at('p.yaml'), '-o', at('none/o')], says: /none\/o: got "ENOENT/ },
    { argv: ['-f', at('p.yaml'), '-o', at('latin.yaml/o')], says: /latin\.yaml\/o: got "E/ },
    { argv: ['-f', at('*.json')], says: /\*\.json: got "no file"/ },
  ]
  for (const { argv, says } of rows) t.match(await run(...argv), { status: 1, says })
  writeFileSync(at('empty.yaml'), '')
  t.strictSame(await run('-f', at('empty.yaml'), '-o', at('o')), { status: 0, says: '' })
  t.equal(readFileSync(at('o'), 'utf8'), '')
})

t.test('a name cannot steer the terminal', async (t) => {
  const name = 'a\u001b[31mb\nforged line'
  const spec = { template: { spec: { hostNetwork: true, containers: [{ name: 'c' }] } } }
  const object = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name }, spec }
  const folder = t.testdir({ 'p.json': JSON.stringify(object) })
  const said = t.capture(process.stderr, 'write', () => true)
  await run('-f', join(folder, 'p.json'), '-o', join(folder, 'o'))
  const text = said()
    .map(({ args }) => String(args[0]))
    .join('')
  t.match(text, 'a\\u001b[31mb\\u000aforged line')
  t.notOk(text.includes('\u001b'), 'no escape character is printed')
})
