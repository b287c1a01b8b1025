import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pageTables, printHelp } from '../../../cni-plugin/install/page.ts'
import { flagOf } from '../../../cni-plugin/install/setting.ts'
import { readSettings } from '../../../cni-plugin/install/settings.ts'
import { SETTINGS } from '../../../cni-plugin/install/table.ts'
import { formatProblem } from '../../../core/problem.ts'

const pod = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' }

const right = [
  { who: 'nothing but a pod', argv: [], env: {}, want: { command: 'install', netDir: undefined } },
  { who: 'a flag', argv: ['--mounted-cni-net-dir=/a'], env: {}, want: { netDir: '/a' } },
  { who: 'a variable', argv: [], env: { MOUNTED_CNI_NET_DIR: '/b' }, want: { netDir: '/b' } },
  {
    who: 'a flag wins',
    argv: ['--mounted-cni-net-dir', '/a'],
    env: { MOUNTED_CNI_NET_DIR: '/b' },
    want: { netDir: '/a' },
  },
  {
    who: 'an empty variable is none',
    argv: [],
    env: { LOG_LEVEL: '' },
    want: { logLevel: 'info' },
  },
  {
    who: 'a switch',
    argv: ['--purge', 'uninstall'],
    env: {},
    want: { command: 'uninstall', purges: true },
  },
  {
    who: 'log levels: the plugin follows',
    argv: [],
    env: { LOG_LEVEL: 'debug' },
    want: { logLevel: 'debug', pluginLogLevel: 'debug' },
  },
  {
    who: 'an IPv6 API server',
    argv: [],
    env: { KUBERNETES_SERVICE_HOST: 'fd00::1' },
    want: { server: new URL('https://[fd00::1]/') },
  },
  {
    who: 'another name of the plugin names its files',
    argv: ['--plugin-name', 'mesh'],
    env: {},
    want: {
      runDir: '/var/run/mesh',
      kubeconfigDir: '/var/lib/mesh',
      ownedFileName: '02-mesh.conflist',
    },
  },
] as const

for (const { who, argv, env, want } of right) {
  t.test(who, async (t) => {
    const read = readSettings({ argv, env: { ...pod, ...env }, programDir: '/app' })
    t.match(read, { ok: true, value: want })
  })
}

const wrong = [
  {
    who: 'all problems together, those of repair too',
    env: {
      ...pod,
      LOG_LEVEL: 'loud',
      MONITORING_PORT: 'tcp://10.0.0.9:80',
      KUBECONFIG_MODE: '0666',
      MOUNTED_CNI_NET_DIR: 'etc',
      CNI_CONF_NAME: '../passwd',
      REPAIR_MODE: 'often',
    },
    want: [
      'CNI_CONF_NAME: got "../passwd", want a name of letters, digits, "_", "." and "-"',
      'KUBECONFIG_MODE: got "0666", want octal permissions such as 0600 that let only the owner write',
      'LOG_LEVEL: got "loud", want one of debug, info, warn, error',
      'MONITORING_PORT: got "tcp://10.0.0.9:80", want a port from 0 to 65535',
      'MOUNTED_CNI_NET_DIR: got "etc", want an absolute path without .. and :',
    ],
    repair: true,
  },
  {
    who: 'no pod',
    env: {},
    want: ['KUBERNETES_SERVICE_HOST: got "", want an API server: is this not running in a pod?'],
  },
  {
    who: 'Multus hands over no annotations',
    env: { ...pod, CHAINED_CNI_PLUGIN: 'false' },
    want: [
      'POD_SOURCE: got "annotations", want api with CHAINED_CNI_PLUGIN=false: Multus hands over nothing',
    ],
  },
  {
    who: 'two ways into the configuration',
    env: { ...pod, CHAINED_CNI_PLUGIN: 'false', OWNED_CNI_CONFIG: 'true', POD_SOURCE: 'api' },
    want: [
      'OWNED_CNI_CONFIG: got "true", want CHAINED_CNI_PLUGIN=true with it, or only one of them',
    ],
  },
] as const

for (const row of wrong) {
  t.test(row.who, async (t) => {
    const read = readSettings({ argv: [], env: row.env, programDir: '/app' })
    if (read.ok) throw new Error('wrong settings were taken')
    const all = read.problems.map(formatProblem).sort()
    const own = all.filter((line) => !line.startsWith('REPAIR_'))
    t.strictSame(own, row.want)
    t.equal(all.length > own.length, 'repair' in row)
  })
}

t.test('unknown flags and words', async (t) => {
  const read = (argv: readonly string[]): unknown =>
    readSettings({ argv, env: pod, programDir: '/' })
  t.match(read(['--no-such']), { ok: false })
  t.match(read(['reinstall']), { ok: false })
  t.match(read(['install', 'again']), { ok: false })
  t.match(read(['--log-level']), { ok: false, problems: [{ path: '--log-level' }] })
})

t.test('help and reference page name every setting', async (t) => {
  const page = readFileSync(
    join(import.meta.dirname, '../../../docs/reference/install-cni.md'),
    'utf8',
  )
  for (const [heading, table] of Object.entries(pageTables())) {
    t.ok(page.includes(`## ${heading}\n\n`), heading)
    t.ok(page.includes(`\n${table}\n`), `${heading}: the page has the table of the code`)
  }
  for (const setting of SETTINGS) t.ok(printHelp().includes(flagOf(setting)))
})
