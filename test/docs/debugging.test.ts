/** The guide for finding out why: its commands run and print what the page shows. */
import { join } from 'node:path'
import t from 'tap'
import { explainCommand, type Flags } from '../../explain/command.ts'
import { explainFiles } from '../../explain/run.ts'
import { blocksOf, wordsOf } from './page.ts'

const root = join(import.meta.dirname, '../..')
const blocks = blocksOf(join(root, 'docs/guides/debugging.md'))

/** What a command line of the page prints; files are named from the root of the project. */
async function run(line: string): Promise<string> {
  const [npx, program, name, ...args] = wordsOf(line)
  t.strictSame([npx, program, name], ['npx', 'sidecar-injector', 'explain'])
  const command = explainCommand().exitOverride()
  let flags: Flags | undefined
  command.action((given: Flags) => {
    flags = given
  })
  const rooted = args.map((arg) => (/^(examples|deploy)\//.test(arg) ? join(root, arg) : arg))
  await command.parseAsync(rooted, { from: 'user' })
  if (flags === undefined) throw new Error('no flags')
  return explainFiles(flags, {}, false)
}

let commands = 0
for (const [index, { line, info, text }] of blocks.entries()) {
  if (info !== 'sh') continue
  t.test(`line ${line}`, async (t) => {
    const printed = (await run(text.trim())).split('\n')
    const shown = blocks[index + 1]
    commands++
    if (shown?.info !== 'text') {
      t.type(JSON.parse(printed.join('\n')), 'object')
      return
    }
    let from = 0
    for (const wanted of shown.text.trimEnd().split('\n')) {
      if (wanted === '…') continue
      const found = printed.indexOf(wanted, from)
      t.not(found, -1, wanted)
      from = found + 1
    }
  })
}

t.test('the page has commands', async (t) => {
  t.ok(commands >= 5, `${commands} commands were run`)
})
