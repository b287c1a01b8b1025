import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FLAGS } from '../../../core/options/flags.ts'
import { flagTables } from '../../../core/options/reference.ts'
import { printHelp } from '../../../iptables-init/help.ts'

const page = readFileSync(
  join(import.meta.dirname, '../../../docs/reference/istio-iptables.md'),
  'utf8',
)

t.test('the reference page holds the tables of the code', async (t) => {
  for (const [heading, table] of Object.entries(flagTables())) {
    t.ok(page.includes(`## ${heading}\n\n${table}\n`), heading)
  }
})

t.test('the help names every flag', async (t) => {
  const help = printHelp('apply')
  const shown = FLAGS.filter((flag) => !('ignored' in flag)).map(({ name }) => name)
  t.strictSame(
    shown.filter((name) => !help.includes(`--${name}`)),
    [],
  )
})
