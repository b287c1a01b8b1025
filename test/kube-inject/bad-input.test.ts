/** What cannot be read or written: told by place, and nothing is touched. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Refusal, type Problem } from '../../core/problem.ts'
import { kubeInjectCommand } from '../../kube-inject/command.ts'
import { need } from '../require.ts'

const good =
  'apiVersion: v1\nkind: Pod\nmetadata: {name: good}\nspec: {containers: [{name: a, image: a}]}\n'
/** Seven lines. */
const head =
  'apiVersion: v1\nkind: Pod\nmetadata:\n  name: bad\nspec:\n  containers:\n  - name: a\n'

/** Runs the command; what it refuses, one problem after the other. What else is thrown is a bug. */
async function refusedBy(...argv: readonly string[]): Promise<readonly Problem[]> {
  try {
    await kubeInjectCommand()
      .exitOverride()
      .parseAsync([...argv], { from: 'user' })
    return []
  } catch (cause) {
    if (cause instanceof Refusal) return cause.problems
    throw cause
  }
}

type Row = {
  readonly who: string
  readonly text: string | Buffer
  /** `line:column`, of the file. */
  readonly at: string
  readonly got: string | RegExp
  readonly want: string | RegExp
}

const rows: readonly Row[] = [
  {
    who: 'YAML that ends too early, in braces',
    text: `${head}    args: [a, {b: c`,
    at: '8:20',
    got: '',
    want: /^well-formed YAML \(.*\}/,
  },
  {
    who: 'YAML that ends too early, in quotes',
    text: `${head}    image: "registry`,
    at: '8:21',
    got: '',
    want: /^well-formed YAML \(.*quote/,
  },
  {
    who: 'JSON that ends too early',
    text: '{"apiVersion": "v1", "kind": "Pod",\n "metadata": {"name": "bad"',
    at: '2:28',
    got: '',
    want: /^well-formed YAML/,
  },
  {
    who: 'a tab as indentation',
    text: `${head}\timage: a\n`,
    at: '8:1',
    got: '\timage: a',
    want: /^well-formed YAML \(.*[Tt]ab/,
  },
  {
    who: 'a key twice in a map',
    text: `${head}    image: a\n    name: b\n`,
    at: '9:5',
    got: 'name',
    want: 'each key once in a map',
  },
  {
    who: 'a tag that nobody knows',
    text: `${head}    image: !secret a\n`,
    at: '8:12',
    got: '!secret a',
    want: 'no tag, or one that fits the value',
  },
  {
    who: 'an alias of nothing',
    text: `${head}    image: *image\n`,
    at: '8:12',
    got: '*image',
    want: 'an alias of an anchor that stands before it',
  },
  {
    who: 'aliases that multiply',
    text: `${head}${Array.from({ length: 9 }, (_, n) => {
      const before = n === 0 ? 'lol' : `*a${n - 1}`
      return `    x${n}: &a${n} [${Array.from({ length: 9 }, () => before).join(', ')}]\n`
    }).join('')}`,
    at: '13:14',
    got: /^\*a4/,
    want: 'aliases that repeat at most 100000 nodes',
  },
  {
    who: 'nesting without end',
    text: `${head}    args: ${'['.repeat(600)}${']'.repeat(600)}\n`,
    at: '8:508',
    got: /^\[\[\[/,
    want: /nested at most 500 deep/,
  },
  {
    who: 'a control character',
    text: `${head}    image: "a\u0007"\n`,
    at: '8:14',
    got: '\u0007',
    want: 'text without control characters',
  },
  {
    who: 'text in another encoding',
    text: Buffer.from(`${head}    image: café\n`, 'latin1'),
    at: '8:15',
    got: 'byte 0xe9',
    want: 'UTF-8 text',
  },
  {
    who: 'UTF-16, as some shells write it',
    text: Buffer.from(`\uFEFF${good}`, 'utf16le'),
    at: '1:1',
    got: 'byte 0xff',
    want: 'UTF-8 text',
  },
  {
    who: 'a merge that is none',
    text: `${head}    <<: text\n`,
    at: '8:5',
    got: '<<: text',
    want: 'a map, or a list of maps, to merge',
  },
]

for (const { who, text, at, got, want } of rows) {
  t.test(`${who} is told by file, line and column`, async (t) => {
    // In the second file and behind a good document, so that places have to be counted.
    const folder = t.testdir({ 'a.yaml': good })
    const file = join(folder, 'b.yaml')
    const bytes = typeof text === 'string' ? Buffer.from(text) : text
    writeFileSync(file, bytes)
    const [problem] = await refusedBy('-f', folder, '--in-place')
    t.equal(problem?.path, `${file}:${at}`)
    t.match(problem?.got, got)
    t.match(problem?.want, want)
    t.ok(readFileSync(file).equals(bytes), 'the bad file is as it was')
    t.equal(readFileSync(join(folder, 'a.yaml'), 'utf8'), good, 'and so is the good one')
    t.strictSame(readdirSync(folder), ['a.yaml', 'b.yaml'], 'and nothing lies beside them')
  })
}

t.test('a line of 100 MB is refused before it is read as YAML', async (t) => {
  const folder = t.testdir({})
  const file = join(folder, 'a.yaml')
  const text = `${good}---\n${head}    args: ["${'x'.repeat(100_000_000)}"]\n`
  writeFileSync(file, text)
  const before = process.memoryUsage().rss
  const problems = await refusedBy('-f', file, '-o', join(folder, 'out.yaml'))
  const grown = (process.memoryUsage().rss - before) / 2 ** 20
  t.strictSame(problems, [
    {
      path: `${file}:5:1`,
      got: `a document of ${text.length - good.length} characters`,
      want: 'at most 16777216 characters in each document',
    },
  ])
  t.ok(grown < 700, `${grown.toFixed(0)} MiB more`)
  t.equal(statSync(file).size, text.length)
  t.strictSame(readdirSync(folder), ['a.yaml'])
})

t.test('what cannot be opened is named', async (t) => {
  const folder = t.testdir({ 'in.yaml': good })
  const at = (name: string): string => join(folder, name)
  mkdirSync(at('broken'))
  symlinkSync('nowhere', at('broken/a.yaml'))
  mkdirSync(at('folder.yaml'))
  t.match(await refusedBy('-f', at('broken')), [
    { path: at('broken/a.yaml'), got: /ENOENT/, want: 'a file or folder' },
  ])
  t.match(await refusedBy('-f', at('in.yaml'), '--valuesFile', at('folder.yaml')), [
    { path: at('folder.yaml'), got: /EISDIR/, want: 'a file that can be read' },
  ])
  t.match(await refusedBy('-f', at('in.yaml'), '-o', at('in.yaml/x')), [
    { path: at('in.yaml/x'), got: /ENOTDIR/, want: 'a file that can be written' },
  ])
  t.equal(readFileSync(at('in.yaml'), 'utf8'), good)
})

t.test('a file that may not be read is named', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sidecar-injector-test-'))
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  const file = join(folder, 'a.yaml')
  writeFileSync(file, good)
  chmodSync(folder, 0o755)
  // Everything is loaded before somebody else looks, who may not read the program either.
  t.strictSame(await refusedBy('-f', file, '-o', '/dev/null'), [])
  chmodSync(file, 0o000)
  const isRoot = process.getuid?.() === 0
  if (isRoot) process.seteuid?.('nobody')
  const problems = await refusedBy('-f', file, '-o', '/dev/null').finally(() => {
    if (isRoot) process.seteuid?.(0)
  })
  t.match(problems, [{ path: file, got: /EACCES/, want: 'a file that can be read' }])
})

t.test('a full disk leaves everything as it was', need(reasonNotRoot()), async (t) => {
  // Not below the folder of this test, which is removed before what is mounted in it.
  const folder = mkdtempSync(join(tmpdir(), 'sidecar-injector-test-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'sidecar-injector-test', folder])
  t.teardown(() => {
    execFileSync('umount', [folder])
    rmSync(folder, { recursive: true })
  })
  const file = join(folder, 'a.yaml')
  const text = `${good}# ${'filler '.repeat(7000)}\n`
  writeFileSync(file, text)
  for (const where of [['--in-place'], ['-o', join(folder, 'out.yaml')]]) {
    t.match(await refusedBy('-f', file, ...where), [
      { path: where[1] ?? file, got: /ENOSPC/, want: 'a file that can be written' },
    ])
    t.equal(readFileSync(file, 'utf8'), text)
    t.strictSame(readdirSync(folder), ['a.yaml'], 'nothing half written')
  }
  await t.test('also the one for what waits', (t) => fullTemporary(t, folder))
})

async function fullTemporary(t: Test, folder: string): Promise<void> {
  const temporary = process.env['TMPDIR']
  process.env['TMPDIR'] = folder
  t.teardown(() => {
    if (temporary === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = temporary
  })
  const many = t.testdir({
    in: {
      'many.yaml': Array.from({ length: 8 }, () => `${good}${'# filler\n'.repeat(70_000)}`).join(
        '---\n',
      ),
    },
  })
  t.match(await refusedBy('-f', join(many, 'in'), '-o', join(many, 'out.yaml')), [
    { path: folder, got: /ENOSPC/, want: /^room for what is to be written/ },
  ])
}

function reasonNotRoot(): string | undefined {
  return process.getuid?.() === 0 ? undefined : 'a small disk can be mounted by root only'
}
