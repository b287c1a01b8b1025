import { execFileSync } from 'node:child_process'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { Refusal } from '../../core/problem.ts'
import { readYaml } from '../../core/yaml.ts'
import { kubeInjectCommand } from '../../kube-inject/command.ts'
import { makeSpool } from '../../kube-inject/spool.ts'

const podText =
  'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: a # kept\n'

/** Runs the command; gives what it printed to standard output, and what it was refused for. */
async function run(...argv: readonly string[]): Promise<{ out: string; refused: string }> {
  const printed: Buffer[] = []
  const write = process.stdout.write.bind(process.stdout)
  process.stdout.write = ((piece: Buffer, done?: () => void) => {
    printed.push(Buffer.from(piece))
    done?.()
    return true
  }) as typeof process.stdout.write
  let refused = ''
  try {
    await kubeInjectCommand()
      .exitOverride()
      .parseAsync([...argv], { from: 'user' })
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause
    refused = cause.message
  } finally {
    process.stdout.write = write
  }
  return { out: Buffer.concat(printed).toString('utf8'), refused }
}

t.test('a diff is what git makes of the two files', async (t) => {
  const filler = 'kind: X\n---\n'
  const manifests = {
    'one.yaml': podText,
    'many.yaml': `${filler.repeat(3)}${podText}---\n${filler.repeat(40)}${podText}---\nkind: Y\n---\n${podText}`,
    'no-end.yaml': podText.replace(' # kept\n', ''),
    'same.yaml': filler,
    'long.yaml': `${podText}---\nkind: X\n---\n`.repeat(30),
  }
  const folder = t.testdir({ in: manifests })
  const at = (...names: readonly string[]): string => join(folder, ...names)
  await run('-f', at('in'), '-o', at('out/'))
  for (const name of Object.keys(manifests)) {
    const { out } = await run('-f', at('in', name), '--diff')
    const patched = at('patched', name)
    mkdirSync(dirname(patched), { recursive: true })
    writeFileSync(patched, readFileSync(at('in', name)))
    const relative = out.replaceAll(/^(---|\+\+\+) [ab]\/.*$/gm, (_line, mark: string) => {
      return `${mark} ${mark === '---' ? 'a' : 'b'}/${name}`
    })
    if (name === 'same.yaml') t.equal(out, '')
    else execFileSync('git', ['apply', '-'], { cwd: dirname(patched), input: relative })
    if (name === 'long.yaml') {
      const lengths = out.split(/^@@/m).map((hunk) => hunk.split('\n').length)
      t.ok(Math.max(...lengths) < 1500, `hunks of ${lengths.join(', ')} lines`)
    }
    t.equal(readFileSync(patched, 'utf8'), readFileSync(at('out', name), 'utf8'), name)
  }
  t.equal(readFileSync(at('in/one.yaml'), 'utf8'), podText, 'the input is untouched')
})

t.test('the name of a file in a diff cannot steer the terminal', async (t) => {
  const folder = t.testdir({})
  const file = join(folder, 'a\u001b[31m.yaml')
  writeFileSync(file, podText)
  const { out } = await run('-f', file, '--diff')
  t.match(out, 'a\\u001b[31m.yaml')
  t.notOk(out.includes('\u001b'), 'no escape character is printed')
})

t.test('a report tells the decision and what was added', async (t) => {
  const skipped = podText.replace('name: p', 'name: q, labels: {sidecar.istio.io/inject: "false"}')
  const folder = t.testdir({ 'a.yaml': `${podText}---\nkind: X\n---\n${skipped}` })
  const { out } = await run('-f', join(folder, 'a.yaml'), '--report', 'json')
  const [first, second, third] = JSON.parse(out)
  t.match(first, {
    where: /a\.yaml:1: document 1$/,
    changed: true,
    objects: [
      { kind: 'Pod', name: 'p', decision: 'inject', added: { containers: ['istio-proxy'] } },
    ],
  })
  t.match(first.objects[0].added.initContainers, ['istio-init'])
  t.match(second, { changed: false, objects: [] })
  t.match(third, { changed: false, objects: [{ decision: 'skip', reason: 'label-opt-out' }] })
})

t.test('a folder gets each source under its own path', async (t) => {
  const folder = t.testdir({ in: { 'a.yaml': podText, sub: { 'b.json': '{"kind":"X"}' } } })
  const at = (...names: readonly string[]): string => join(folder, ...names)
  t.equal((await run('-f', at('in'), '-o', at('out/'))).refused, '')
  t.match(readFileSync(at('out/a.yaml'), 'utf8'), 'istio-proxy')
  t.equal(readFileSync(at('out/sub/b.json'), 'utf8'), '{"kind":"X"}')
  mkdirSync(at('two'))
  const twice = ['-f', at('in/a.yaml'), '-f', at('in'), '-o', at('two')]
  t.match((await run(...twice)).refused, /a\.yaml: got .*, want one manifest for each file/)
  t.strictSame(readdirSync(at('two')), [], 'nothing is half done')
})

t.test('a pattern is the files that match it', async (t) => {
  const folder = t.testdir({
    a: { 'x.yaml': 'kind: A\n', 'x.txt': 'no' },
    b: { 'y.yaml': 'kind: B\n' },
  })
  t.equal((await run('-f', join(folder, '**/*.yaml'))).out, 'kind: A\n---\nkind: B\n')
})

t.test('a URL is read; what it answers wrongly is told', async (t) => {
  const server = createServer((request, response) => {
    response.writeHead(request.url === '/good.yaml' ? 200 : 404).end('kind: X\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  const origin = `http://127.0.0.1:${typeof address === 'object' ? (address?.port ?? 0) : 0}`
  t.equal((await run('-f', `${origin}/good.yaml`)).out, 'kind: X\n')
  t.match(
    (await run('-f', `${origin}/none.yaml`)).refused,
    /none\.yaml: got "HTTP 404", want a manifest/,
  )
})

t.test('the format can be changed, and stays where it is right', async (t) => {
  const folder = t.testdir({ 'a.yaml': 'kind: X # kept\n', 'b.json': '{"kind": "Z"}\n' })
  const files = ['-f', join(folder, 'a.yaml'), '-f', join(folder, 'b.json')]
  t.equal((await run(...files, '--output-format', 'yaml')).out, 'kind: X # kept\n---\nkind: Z\n')
  t.equal(
    (await run(...files, '--output-format', 'json')).out,
    '{\n  "kind": "X"\n}\n{"kind": "Z"}\n',
  )
})

const kinds = [
  {
    what: 'a path',
    flag: 'Rollout.argoproj.io=/spec/template',
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Rollout',
  },
  { what: 'a preset', flag: 'argo', apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout' },
  { what: 'Knative', flag: 'knative', apiVersion: 'serving.knative.dev/v1', kind: 'Service' },
  {
    what: 'OpenKruise',
    flag: 'openkruise',
    apiVersion: 'apps.kruise.io/v1alpha1',
    kind: 'CloneSet',
  },
] as const

for (const { what, flag, apiVersion, kind } of kinds) {
  t.test(`a custom resource is injected by ${what}`, async (t) => {
    const template = '\nspec:\n  template:\n    spec:\n      containers:\n      - name: a\n'
    const folder = t.testdir({
      'a.yaml': `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: x}${template}`,
    })
    const file = join(folder, 'a.yaml')
    t.notMatch((await run('-f', file)).out, 'istio-proxy', 'without the flag it is left alone')
    t.match((await run('-f', file, '--pod-template-path', flag)).out, '      - name: istio-proxy\n')
  })
}

t.test('every task of a Volcano job is injected, and a bad one is named', async (t) => {
  const task = (name: string, template: string): string =>
    `  - name: ${name}\n    template:${template}\n`
  const head =
    'apiVersion: batch.volcano.sh/v1alpha1\nkind: Job\nmetadata: {name: x}\nspec:\n  tasks:\n'
  const good = '\n      spec:\n        containers:\n        - name: a'
  const folder = t.testdir({
    'good.yaml': head + task('one', good) + task('two', good),
    'bad.yaml': head + task('one', good) + task('two', ' 1'),
  })
  const { out } = await run('-f', join(folder, 'good.yaml'), '--pod-template-path', 'volcano')
  const read = readYaml('out', out)
  t.equal(out.split('        - name: istio-proxy\n').length - 1, 2)
  t.ok(read.ok)
  const { refused } = await run('-f', join(folder, 'bad.yaml'), '--pod-template-path', 'volcano')
  t.match(refused, /Job "x": \/spec\/tasks\/1\/template: got "1", want a pod template/)
})

t.test('a spool gives back what it took, from memory and from its file', async (t) => {
  for (const piece of [1, 7, 1000]) {
    const spool = makeSpool(piece)
    const texts = ['', 'one\n', 'zwölf\n', 'x'.repeat(50), '\n']
    const starts = texts.map((text) => {
      const start = spool.size()
      spool.add(text)
      return start
    })
    const read = (start: number, end: number): string =>
      Buffer.concat([...spool.read(start, end)]).toString('utf8')
    t.equal(read(0, spool.size()), texts.join(''))
    for (const [index, text] of texts.entries()) {
      t.equal(read(starts[index] ?? 0, starts[index + 1] ?? spool.size()), text)
    }
    spool.close()
  }
})
