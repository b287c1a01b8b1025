import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { bad, formatProblem, good, type Read } from '../../core/problem.ts'
import { readNamespaces } from '../../webhook/namespaces.ts'
import { watchConfig, type Report } from '../../webhook/source.ts'
import type { Sources } from '../../webhook/injector.ts'

const POLL = 20

/** Joins the texts; a text with `bad` in it is refused, one with `bug` throws. */
function read(sources: Sources): Read<string> {
  const parts = Object.entries(sources).map(([name, source]) => `${name}=${source.text}`)
  const text = parts.join(' ')
  if (text.includes('bug')) throw new Error('stumbled')
  return text.includes('bad') ? bad('values', text, 'no bad') : good(text)
}

/** Remembers each report as one line. */
function makeReport(): { lines: string[]; report: Report<string> } {
  const lines: string[] = []
  return {
    lines,
    report: {
      taken: (value) => lines.push(`taken ${value}`),
      refused: (problems) => lines.push(`refused ${problems.map(formatProblem).join()}`),
    },
  }
}

/** Waits until the lines have come, with time enough for a busy machine. */
async function until(isDone: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500 && !isDone(); tries++) await sleep(10)
}

t.test('an update is taken, a bad one changes nothing, a good one after it is', async (t) => {
  const folder = t.testdir({ mesh: 'm1', values: 'v1' })
  const files = { mesh: join(folder, 'mesh'), values: join(folder, 'values') }
  const { lines, report } = makeReport()
  const opened = await watchConfig(files, read, report, POLL)
  if (!opened.ok) throw new Error('want it opened')
  const live = opened.value
  t.teardown(live.close)
  const heard: string[] = []
  live.onChange((value) => heard.push(value))
  const steps = [
    { write: 'v2', current: 'mesh=m1 values=v2', report: 'taken mesh=m1 values=v2', problems: 0 },
    {
      write: 'bad',
      current: 'mesh=m1 values=v2',
      report: 'refused values: got "mesh=m1 values=bad", want no bad',
      problems: 1,
    },
    {
      write: 'bug',
      current: 'mesh=m1 values=v2',
      report: `refused ${files.mesh}, ${files.values}: got "stumbled", want texts that can be read`,
      problems: 1,
    },
    { write: undefined, current: 'mesh=m1 values=v2', report: 'ENOENT', problems: 1 },
    { write: 'v3', current: 'mesh=m1 values=v3', report: 'taken mesh=m1 values=v3', problems: 0 },
  ]
  for (const step of steps) {
    const count = lines.length
    if (step.write === undefined) await rm(files.values)
    else {
      await writeFile(`${files.values}.new`, step.write)
      await rename(`${files.values}.new`, files.values)
    }
    await until(() => lines.length > count)
    t.match(lines.at(-1), step.report)
    t.equal(live.current(), step.current)
    t.equal(live.problems().length, step.problems)
  }
  t.strictSame(heard, ['mesh=m1 values=v2', 'mesh=m1 values=v3'])
})

t.test('a mounted ConfigMap changes by a swapped link, and both files at once', async (t) => {
  const folder = t.testdir({ one: { mesh: 'm1', values: 'v1' }, two: { mesh: 'm2', values: 'v2' } })
  await symlink('one', join(folder, '..data'))
  for (const name of ['mesh', 'values']) await symlink(`..data/${name}`, join(folder, name))
  const { lines, report } = makeReport()
  const files = { mesh: join(folder, 'mesh'), values: join(folder, 'values') }
  const opened = await watchConfig(files, read, report, POLL)
  if (!opened.ok) throw new Error('want it opened')
  t.teardown(opened.value.close)
  await symlink('two', join(folder, '..next'))
  await rename(join(folder, '..next'), join(folder, '..data'))
  await until(() => lines.length > 1)
  t.strictSame(lines, ['taken mesh=m1 values=v1', 'taken mesh=m2 values=v2'])
})

t.test('files that are wrong at the start', async (t) => {
  const folder = t.testdir({ values: 'bad' })
  await mkdir(join(folder, 'mesh'))
  const { report, lines } = makeReport()
  t.match(await watchConfig({ values: join(folder, 'values') }, read, report), {
    ok: false,
    problems: [{ path: 'values', got: 'values=bad' }],
  })
  t.match(await watchConfig({ mesh: join(folder, 'mesh') }, read, report), {
    ok: false,
    problems: [{ path: join(folder, 'mesh'), got: /EISDIR/, want: 'a file that can be read' }],
  })
  t.strictSame(lines, [])
})

t.test('closed means quiet', async (t) => {
  const folder = t.testdir({ mesh: 'm1' })
  const { lines, report } = makeReport()
  const opened = await watchConfig({ mesh: join(folder, 'mesh') }, read, report, POLL)
  if (opened.ok) opened.value.close()
  await writeFile(join(folder, 'mesh'), 'm2')
  await sleep(10 * POLL)
  t.strictSame(lines, ['taken mesh=m1'])
})

t.test('namespaces', async (t) => {
  const namespace = (metadata: unknown) => ({ kind: 'Namespace', metadata })
  const cases = [
    {
      items: [
        namespace({ name: 'a', annotations: { x: 'y', n: 1 } }),
        // As the API lists them.
        { metadata: { name: 'b' } },
      ],
      want: {
        ok: true,
        value: new Map([
          ['a', { x: 'y' }],
          ['b', {}],
        ] as const),
      },
    },
    {
      items: [namespace({}), namespace({ name: 'b' }), { kind: 'Pod', metadata: { name: 'c' } }],
      want: { ok: false, problems: [{ path: 'f: /items/0' }, { path: 'f: /items/2' }] },
    },
    { items: 'none', want: { ok: false, problems: [{ path: 'f', got: 'no items' }] } },
  ]
  for (const { items, want } of cases) {
    t.match(readNamespaces({ path: 'f', text: JSON.stringify({ kind: 'List', items }) }), want)
  }
})
