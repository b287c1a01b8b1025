/** docs/guides/data-path.md and docs/reference/bootstrap.md say what is, and their commands work. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { DEFAULT_TEXT_FORMAT } from '../../core/bootstrap/access-log.ts'
import { bootstrapCommand } from '../../datapath/bootstrap-command.ts'
import { need } from '../require.ts'
import { ENVOY } from './scenario.ts'

const root = join(import.meta.dirname, '../..')
const guide = readFileSync(join(root, 'docs/guides/data-path.md'), 'utf8')
const page = readFileSync(join(root, 'docs/reference/bootstrap.md'), 'utf8')

/** What stands for the programs of the commands; what is not here is run by another test. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  'npx sidecar-injector': [process.execPath, join(root, 'dist/cli/sidecar-injector.cjs')],
  'npx istio-iptables': [process.execPath, join(root, 'dist/istio-iptables.cjs')],
  envoy: [ENVOY ?? 'envoy'],
}

t.test(
  'the commands of the guide',
  need(ENVOY === undefined ? 'needs envoy' : undefined),
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'guide-'))
    t.teardown(() => {
      rmSync(folder, { recursive: true })
    })
    symlinkSync(join(root, 'examples'), join(folder, 'examples'))
    const lines = [...guide.matchAll(/```sh\n([^`]*)```/g)].flatMap(([, text = '']) =>
      text.trim().split('\n'),
    )
    const known = Object.entries(PROGRAMS)
    const commands = lines.filter((line) => known.some(([name]) => line.startsWith(name)))
    t.strictSame(
      lines.filter((line) => !commands.includes(line)),
      ['npm ci', 'npm run demo:datapath'],
    )
    for (const line of commands) {
      const [name = '', [program = '', ...first] = []] =
        known.find(([name]) => line.startsWith(name)) ?? []
      const words = line.slice(name.length).trim().replaceAll("'", '').split(' ')
      const { status, stdout, stderr } = spawnSync(program, [...first, ...words], {
        cwd: folder,
        encoding: 'utf8',
      })
      t.equal(status, 0, line)
      if (status !== 0) t.comment(stderr)
      if (name === 'npx istio-iptables') t.match(stdout, 'captured by the proxy on 15006')
    }
  },
)

t.test('the page has every flag, and the format', async (t) => {
  for (const { flags, description } of bootstrapCommand().options) {
    t.ok(page.includes(`| \`${flags.replaceAll('|', '\\|')}\` | ${description}`), flags)
  }
  t.ok(page.includes(DEFAULT_TEXT_FORMAT))
})
