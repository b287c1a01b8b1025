import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommanderError } from 'commander'
import t from 'tap'
import { checkCommand } from '../../check/command.ts'
import { CODES } from '../../core/analysis/codes.ts'
import { printCheckPage } from '../../core/analysis/page.ts'
import { isArray, isObject, type JsonObject } from '../../core/json.ts'
import { Refusal } from '../../core/problem.ts'
import { container, deployment, namespace, service, stream } from './helpers.ts'

const root = join(import.meta.dirname, '../..')
const shop = join(root, 'test/fixtures/check/shop.yaml')

/** Runs the command as the program does: its exit status, what it printed, and why it refused. */
async function run(
  ...argv: readonly string[]
): Promise<{ status: number; out: string; says: string }> {
  const printed: Buffer[] = []
  const said: string[] = []
  const write = process.stdout.write.bind(process.stdout)
  process.stdout.write = ((piece: Buffer, done?: () => void) => {
    printed.push(Buffer.from(piece))
    done?.()
    return true
  }) as typeof process.stdout.write
  const before = process.exitCode
  let status: number
  try {
    const command = checkCommand().exitOverride()
    command.configureOutput({ writeErr: (text) => said.push(text) })
    await command.parseAsync([...argv], { from: 'user' })
    status = process.exitCode === 1 && before !== 1 ? 1 : 0
  } catch (cause) {
    if (cause instanceof Refusal) said.push(cause.message)
    else if (!(cause instanceof CommanderError)) throw cause
    status = cause instanceof Refusal ? 1 : 2
  } finally {
    process.exitCode = before
    process.stdout.write = write
  }
  return { status, out: Buffer.concat(printed).toString('utf8'), says: said.join('') }
}

async function found(...argv: readonly string[]): Promise<readonly JsonObject[]> {
  const { out } = await run(...argv, '--output', 'json')
  const report = JSON.parse(out) as { findings: readonly JsonObject[] }
  return report.findings
}

t.test('a shop as people run it: nothing from warning up', async (t) => {
  const { status, out } = await run('-f', shop)
  t.equal(status, 0, out)
  t.match(out, /\n9 objects: 0 error, 0 warning, /)
})

t.test('the exit status follows the severity that is asked about', async (t) => {
  const folder = t.testdir({
    'info.yaml': stream(service('a', { name: 'web', port: 80 })),
    'warning.yaml': stream(namespace({ 'istio-injection': 'true' })),
    'error.yaml': stream(
      deployment({ containers: [container({ readinessProbe: { httpGet: { port: 'x' } } })] }),
    ),
  })
  const cases = { info: [1, 0, 0], warning: [1, 1, 0], error: [1, 1, 1] }
  for (const [name, statuses] of Object.entries(cases)) {
    for (const [index, severity] of ['info', 'warning', 'error'].entries()) {
      const { status } = await run('-f', join(folder, `${name}.yaml`), '--severity', severity)
      t.equal(status, statuses[index], `${name} against ${severity}`)
    }
  }
  t.equal((await run('-f', join(folder, 'warning.yaml'))).status, 1, 'warning by default')
})

t.test('usage', async (t) => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /--filename or --live/],
    [['--live', '-f', 'a.yaml'], /cannot be used with/],
    [['-f', 'a', '--severity', 'bad'], /Allowed choices are error, warning, info/],
    [['-f', 'a', '--output', 'xml'], /Allowed choices/],
    [['-f', 'a', '--namespace-labels', 'x'], /want key=text/],
    [['-f', '-', '-f', '-'], /only once/],
  ]
  for (const [argv, message] of cases) {
    const { status, says } = await run(...argv)
    t.equal(status, 2, argv.join(' '))
    t.match(says, message, argv.join(' '))
  }
})

t.test('what cannot be read is refused with its place, all of it at once', async (t) => {
  const folder = t.testdir({
    'a.yaml': 'a: [1\n---\nkind: X\n---\n- 1\n',
    'b.yaml': 'a: 1\na: 2\n',
  })
  const { status, says, out } = await run('-f', folder)
  t.equal(status, 1)
  t.match(says, /a\.yaml:\d+:\d+: got /)
  t.match(says, /a\.yaml:4: got "\[1\]", want an object/)
  t.match(says, /b\.yaml:2:1: got /)
  t.equal(out, '')
  const missing = await run('-f', join(folder, 'none.yaml'))
  t.strictSame([missing.status, /none\.yaml: got/.test(missing.says)], [1, true])
})

t.test('every finding stands where its text stands', async (t) => {
  const text = [
    '# a comment',
    'apiVersion: v1',
    'kind: Namespace',
    'metadata: {name: shop, labels: {istio-injection: "true"}}',
    '---',
    'apiVersion: v1',
    'kind: List',
    'items:',
    '- apiVersion: v1',
    '  kind: Service',
    '  metadata: {name: a, namespace: shop}',
    '  spec:',
    '    ports:',
    '    - name: http',
    '      port: 80',
    '    - {name: other, port: 81}',
    '- apiVersion: apps/v1',
    '  kind: Deployment',
    '  metadata: {name: web}',
    '  spec:',
    '    template:',
    '      metadata: {annotations: {"sidecar.istio.io/ugly~key": x}}',
    '      spec:',
    '        securityContext: &user {runAsUser: 1337}',
    '        containers:',
    '        - name: a',
    '          securityContext:',
    '            <<: *user',
    '        - {name: b, image: b, securityContext: *user}',
    '',
  ]
  for (const eol of ['\n', '\r\n']) {
    const folder = t.testdir({ 'all.yaml': text.join(eol) })
    const findings = await found('-f', join(folder, 'all.yaml'))
    const places = findings.map(({ code, line, column, kind, namespace: where, name }) => {
      return [code, line, column, kind, where, name].map(String).join(' ')
    })
    t.strictSame(places, [
      'SI0104 4 33 Namespace  shop',
      'SI0301 16 5 Service shop a',
      'SI0201 22 32 Deployment default web',
      // The alias and the merge stand for the text with the anchor.
      'SI0401 24 33 Deployment default web',
      'SI0401 24 33 Deployment default web',
    ])
  }
})

t.test('for people: place, word, code, object, what and what to do', async (t) => {
  const folder = t.testdir({ 'n.yaml': stream(namespace({ 'istio-injection': 'true' })) })
  const { out } = await run('-f', join(folder, 'n.yaml'))
  const file = join(folder, 'n.yaml')
  t.equal(
    out,
    `${file}:6:5: warning SI0104 NamespaceLabelText: Namespace shop
  /metadata/labels/istio-injection: the injection label of the namespace has a text that no injector looks for: got "istio-injection=true", want enabled or disabled
  write enabled or disabled
1 objects: 0 error, 1 warning, 0 info
`,
  )
})

t.test('names cannot steer a terminal', async (t) => {
  const folder = t.testdir({
    'n.yaml':
      'kind: Namespace\napiVersion: v1\nmetadata: {name: "a\\e[31m", labels: {istio-injection: "\\e]x"}}\n',
  })
  const { out } = await run('-f', join(folder, 'n.yaml'))
  t.match(out, 'a\\u001b[31m')
  t.notOk(out.includes('\u001b'))
})

t.test('twice the same, byte by byte', async (t) => {
  const folder = t.testdir({
    'b.yaml': stream(deployment({ securityContext: { runAsUser: 1337 } })),
    'a.yaml': stream(namespace({ 'istio-injection': 'x', 'istio.io/rev': 'y' }), deployment()),
  })
  const [one, two] = [await run('-f', folder), await run('-f', folder)]
  t.equal(one.out, two.out)
  t.ok(one.out.indexOf('a.yaml') < one.out.indexOf('b.yaml'), 'files in their order')
})

t.test('labels of namespaces that are not among the manifests', async (t) => {
  const folder = t.testdir({ 'd.yaml': stream(deployment()) })
  const codes = async (...more: readonly string[]): Promise<readonly unknown[]> => {
    return (await found('-f', join(folder, 'd.yaml'), ...more)).map(({ code }) => code)
  }
  t.strictSame(await codes(), [], 'injected by default')
  t.strictSame(await codes('--namespace-labels', ''), ['SI0110'])
  const restricted = 'istio.io/rev=x,pod-security.kubernetes.io/enforce=baseline'
  t.strictSame(await codes('--namespace-labels', restricted), ['SI0501'])
})

t.test(
  'SARIF 2.1.0: the members that the standard demands, and what code scanning reads',
  async (t) => {
    const folder = t.testdir({
      'my app.yaml': stream(
        namespace({ 'istio-injection': 'true' }),
        deployment({ securityContext: { runAsUser: 1337, runAsGroup: 1337 } }),
        service('a', { name: 'web', port: 80 }),
      ),
    })
    const { out } = await run('-f', join(folder, 'my app.yaml'), '--output', 'sarif')
    const log: unknown = JSON.parse(out)
    const problems = sarifProblems(log)
    t.strictSame(problems, [])
    const run0 = (log as { runs: [{ results: SarifResult[] }] }).runs[0]
    t.strictSame(
      run0.results.map(({ ruleId, level }) => `${ruleId} ${level}`),
      ['SI0104 warning', 'SI0110 note', 'SI0301 note'],
      'the pods of a namespace with a wrong label are not injected',
    )
    t.match(run0.results[0]?.locations[0]?.physicalLocation, {
      artifactLocation: { uri: /^file:\/\/\/.*\/my%20app\.yaml$/ },
      region: { startLine: 6, startColumn: 5 },
    })
    const prints = run0.results.map(({ partialFingerprints }) =>
      JSON.stringify(partialFingerprints),
    )
    t.equal(new Set(prints).size, prints.length, 'fingerprints differ')
  },
)

t.test('SARIF of relative names is relative to the root of the sources', async (t) => {
  const folder = t.testdir({
    'a b': { 'n.yaml': stream(namespace({ 'istio-injection': 'true' })) },
  })
  const before = process.cwd()
  process.chdir(folder)
  try {
    const { out } = await run('-f', './a b', '--output', 'sarif')
    t.match(out, /"uri": "a%20b\/n.yaml",\s+"uriBaseId": "%SRCROOT%"/)
  } finally {
    process.chdir(before)
  }
})

type SarifResult = {
  readonly ruleId: string
  readonly level: string
  readonly locations: readonly { readonly physicalLocation: unknown }[]
  readonly partialFingerprints: unknown
}

/** What a log lacks of SARIF 2.1.0, by the sections of the standard. */
function sarifProblems(log: unknown): readonly string[] {
  const problems: string[] = []
  const demand = (holds: boolean, what: string): void => {
    if (!holds) problems.push(what)
  }
  const list = (value: unknown): readonly JsonObject[] =>
    isArray(value) ? value.filter(isObject) : []
  const map = (value: unknown): JsonObject => (isObject(value) ? value : {})
  const { version, runs } = map(log)
  demand(version === '2.1.0', '3.13.2 version')
  demand(list(runs).length === 1, '3.13.4 runs')
  for (const one of list(runs)) {
    const driver = map(map(one['tool'])['driver'])
    demand(typeof driver['name'] === 'string' && driver['name'] !== '', '3.19.8 name')
    const rules = list(driver['rules'])
    const ids = rules.map(({ id }) => id)
    demand(new Set(ids).size === ids.length, '3.19.23 rules are unique')
    demand(ids.length === CODES.length, 'every code is a rule')
    for (const rule of rules) {
      demand(typeof map(rule['shortDescription'])['text'] === 'string', '3.49.9 shortDescription')
      demand(typeof map(rule['help'])['text'] === 'string', '3.49.13 help')
    }
    demand(one['columnKind'] === 'utf16CodeUnits', '3.14.17 columnKind')
    for (const result of list(one['results'])) {
      demand(ids[Number(result['ruleIndex'])] === result['ruleId'], '3.27.6 ruleIndex')
      const levels = ['none', 'note', 'warning', 'error']
      demand(
        levels.some((level) => level === result['level']),
        '3.27.10 level',
      )
      demand(typeof map(result['message'])['text'] === 'string', '3.27.11 message')
      for (const location of list(result['locations'])) {
        const { artifactLocation, region } = map(location['physicalLocation'])
        const { uri } = map(artifactLocation)
        demand(typeof uri === 'string' && /^[\w%./:~-]+$/.test(uri), '3.4.3 uri')
        for (const member of ['startLine', 'startColumn']) {
          demand(Number(map(region)[member]) >= 1, `3.30 ${member}`)
        }
      }
      demand(Object.keys(map(result['partialFingerprints'])).length > 0, '3.27.17 fingerprints')
    }
  }
  return problems
}

t.test('a big folder is read a document at a time', async (t) => {
  const copies = 100
  const folder = t.testdir({})
  const text = stream(deployment({ securityContext: { runAsUser: 1337 } }))
  writeFileSync(join(folder, 'many.yaml'), Array(copies).fill(text).join('---\n'))
  const { out } = await run('-f', folder)
  t.match(out, `${copies} objects: 0 error, ${copies} warning, 0 info`)
})

t.test('a pipe is read once', async (t) => {
  const folder = t.testdir({})
  const pipe = join(folder, 'pipe.yaml')
  execFileSync('mkfifo', [pipe])
  const { spawn } = await import('node:child_process')
  const writer = spawn('cp', [shop, pipe])
  const { out, status } = await run('-f', pipe)
  writer.kill()
  t.equal(status, 0, out)
  t.match(out, '\n9 objects')
})

t.test('the reference page is printed from the table, and names every flag', async (t) => {
  const page = readFileSync(join(root, 'docs/reference/check.md'), 'utf8')
  t.equal(page, printCheckPage(), 'npm run reference')
  const flags = checkCommand().options.map(({ long }) => long ?? '')
  t.strictSame(
    flags.filter((flag) => !page.includes(`\`${flag}\``)),
    [],
  )
})

t.test('the commands of the reference page', async (t) => {
  const page = readFileSync(join(root, 'docs/reference/check.md'), 'utf8')
  const lines = [...page.matchAll(/^npx sidecar-injector check (-f [^#>\n]*)/gm)]
  t.equal(lines.length, 3)
  const folder = t.testdir({ apps: { 'd.yaml': stream(deployment()) } })
  const before = process.cwd()
  process.chdir(folder)
  try {
    for (const [, flags = ''] of lines) {
      const { out, says } = await run(...flags.trim().split(/\s+/))
      t.equal(says, '', flags)
      t.not(out, '', flags)
    }
  } finally {
    process.chdir(before)
  }
})
