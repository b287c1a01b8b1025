/** Which files change and how: a directory before, a wish, the directory after. */
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { applyChange } from '../../../cni-plugin/install/apply.ts'
import { makeBinary } from '../../../cni-plugin/install/binary.ts'
import { readNetDir } from '../../../cni-plugin/install/conf-files.ts'
import { planConf, planRemoval, type ConfWish } from '../../../cni-plugin/install/conf-plan.ts'
import { buildEntry } from '../../../cni-plugin/install/entry.ts'
import { compareVersions, type Entry } from '../../../cni-plugin/install/insert.ts'
import { readSettings } from '../../../cni-plugin/install/settings.ts'
import { readOptions } from '../../../cni-plugin/options.ts'

const entry: Entry = { type: 'sidecar-cni', log_level: 'info' }
const old = { type: 'sidecar-cni', log_level: 'debug' }
const bridge = { type: 'bridge', mtu: 1500 }
const portmap = { type: 'portmap', capabilities: { portMappings: true } }
const list = (...plugins: unknown[]): unknown => ({
  zone: 'b',
  name: 'net',
  cniVersion: '0.4.0',
  plugins,
})
const HALF = '{"name": "net", "plu'

type Row = {
  readonly who: string
  readonly before: Readonly<Record<string, unknown>>
  readonly wish?: Partial<ConfWish>
  /** What is there afterwards; as before where not given. */
  readonly after?: Readonly<Record<string, unknown>>
  readonly waitsFor?: RegExp
  readonly warns?: RegExp
  readonly active?: string
}

const rows: readonly Row[] = [
  {
    who: 'a list gets our entry as its last, keeps its name, version, other members and their order',
    before: { '10-a.conflist': list(bridge, portmap) },
    after: { '10-a.conflist': list(bridge, portmap, entry) },
    active: '10-a.conflist',
  },
  {
    who: 'old and double entries of ours become one, the last',
    before: { '10-a.conflist': list(old, bridge, entry, portmap, old) },
    after: { '10-a.conflist': list(bridge, portmap, entry) },
  },
  {
    who: 'a right list is left alone, however it is written',
    before: {
      '10-a.conflist': JSON.stringify(list(bridge, { log_level: 'info', type: 'sidecar-cni' })),
    },
  },
  {
    who: 'a single plugin becomes a list with its name and version',
    before: { '10-a.conf': { cniVersion: '0.3.1', name: 'cbr0', type: 'flannel', delegate: {} } },
    after: {
      '10-a.conflist': {
        cniVersion: '0.3.1',
        name: 'cbr0',
        plugins: [{ type: 'flannel', delegate: {} }, entry],
      },
    },
    active: '10-a.conflist',
  },
  {
    who: 'so does one in a .json file, which runtimes read too',
    before: { '10-a.json': { cniVersion: '1.0.0', name: 'cbr0', ...bridge } },
    after: { '10-a.conflist': { cniVersion: '1.0.0', name: 'cbr0', plugins: [bridge, entry] } },
  },
  {
    who: 'killed between the list and the removal of the old file: the old file goes',
    before: {
      '10-a.conf': { cniVersion: '0.3.1', name: 'net', ...bridge },
      '10-a.conflist': { cniVersion: '0.3.1', name: 'net', plugins: [bridge, entry] },
    },
    after: { '10-a.conflist': { cniVersion: '0.3.1', name: 'net', plugins: [bridge, entry] } },
  },
  {
    who: 'a primary that writes its single file again: our list is made anew',
    before: {
      '10-a.conf': { cniVersion: '0.3.1', name: 'net', type: 'bridge', mtu: 9000 },
      '10-a.conflist': { cniVersion: '0.3.1', name: 'net', plugins: [bridge, entry] },
    },
    after: {
      '10-a.conflist': {
        cniVersion: '0.3.1',
        name: 'net',
        plugins: [{ type: 'bridge', mtu: 9000 }, entry],
      },
    },
  },
  {
    who: 'a single plugin beside a list of somebody else by the same name',
    before: {
      '10-a.conf': { cniVersion: '0.3.1', name: 'net', ...bridge },
      '10-a.conflist': list(portmap),
    },
    waitsFor: /10-a\.conf and 10-a\.conflist are both there/,
  },
  {
    who: 'of two networks the first by name is joined, and the other one left',
    before: { '10-a.conflist': list(bridge), '20-b.conflist': list(portmap, old) },
    after: { '10-a.conflist': list(bridge, entry), '20-b.conflist': list(portmap) },
  },
  {
    who: 'names are sorted by bytes: capitals first',
    before: { 'a.conflist': list(bridge), 'B.conflist': list(portmap) },
    after: { 'a.conflist': list(bridge), 'B.conflist': list(portmap, entry) },
    active: 'B.conflist',
  },
  {
    who: 'other files are nobody’s',
    before: {
      '00-a.conflist.bak': list(portmap),
      '00-b.yaml': list(portmap),
      '10-a.conflist': list(bridge),
    },
    after: {
      '00-a.conflist.bak': list(portmap),
      '00-b.yaml': list(portmap),
      '10-a.conflist': list(bridge, entry),
    },
  },
  { who: 'an empty directory stays empty', before: {}, waitsFor: /a network configuration in/ },
  {
    who: 'a list of only ours is no network to join',
    before: { '10-a.conflist': list(old) },
    waitsFor: /own network plugin writes it/,
  },
  {
    who: 'a version that cannot be chained is refused',
    before: { '10-a.conflist': { name: 'net', cniVersion: '0.2.0', plugins: [bridge] } },
    waitsFor: /cniVersion: got "0\.2\.0", want cniVersion 0\.3\.0 or newer/,
  },
  {
    who: 'no version means the first one',
    before: { '10-a.conflist': { name: 'net', plugins: [bridge] } },
    waitsFor: /cniVersion: got ""/,
  },
  {
    who: 'of several versions the newest counts',
    before: {
      '10-a.conflist': {
        name: 'net',
        cniVersion: '0.2.0',
        cniVersions: ['1.0.0'],
        plugins: [bridge],
      },
    },
    after: {
      '10-a.conflist': {
        name: 'net',
        cniVersion: '0.2.0',
        cniVersions: ['1.0.0'],
        plugins: [bridge, entry],
      },
    },
  },
  {
    who: 'a broken file that comes first may be half written',
    before: { '10-a.conflist': HALF, '20-b.conflist': list(bridge) },
    waitsFor: /10-a\.conflist is no JSON object: it may be half written/,
  },
  {
    who: 'one that stays broken is passed over',
    before: { '10-a.conflist': HALF, '20-b.conflist': list(bridge) },
    wish: { isPatient: false },
    after: { '10-a.conflist': HALF, '20-b.conflist': list(bridge, entry) },
    warns: /10-a\.conflist is no JSON object: passed over/,
  },
  {
    who: 'what no runtime loads is passed over',
    before: {
      '00-a.conflist': { name: 'net', plugins: [] },
      '00-b.conflist': { plugins: [bridge] },
      '00-c.conflist': { name: 'net', plugins: [{}] },
      '00-d.conf': { name: 'net' },
      '00-e.conf': '[]',
      '10-a.conflist': list(bridge),
    },
    wish: { isPatient: false },
    after: {
      '00-a.conflist': { name: 'net', plugins: [] },
      '00-b.conflist': { plugins: [bridge] },
      '00-c.conflist': { name: 'net', plugins: [{}] },
      '00-d.conf': { name: 'net' },
      '00-e.conf': '[]',
      '10-a.conflist': list(bridge, entry),
    },
    warns: /has no plugins.*has no name.*without type.*has no type.*no JSON object/,
  },
  {
    who: 'a file that was named is joined, with a word about those before it',
    before: { '00-multus.conf': { name: 'm', type: 'multus' }, '10-a.conflist': list(bridge) },
    wish: { confName: '10-a.conflist' },
    after: {
      '00-multus.conf': { name: 'm', type: 'multus' },
      '10-a.conflist': list(bridge, entry),
    },
    warns: /00-multus\.conf sorts before 10-a\.conflist/,
  },
  {
    who: 'a file that was named may have become a list',
    before: { '10-a.conflist': list(bridge) },
    wish: { confName: '10-a.conf' },
    after: { '10-a.conflist': list(bridge, entry) },
  },
  {
    who: 'a file that was named and is not there yet is waited for',
    before: { '20-b.conflist': list(bridge) },
    wish: { confName: '10-a.conflist' },
    waitsFor: /10-a\.conflist in/,
  },
  {
    who: 'a file of our own: a copy that wins',
    before: { '10-a.conflist': list(bridge) },
    wish: { mode: 'owned' },
    after: { '02-x.conflist': list(bridge, entry), '10-a.conflist': list(bridge) },
    active: '02-x.conflist',
  },
  {
    who: 'a file of our own follows the primary',
    before: { '02-x.conflist': list(bridge, entry), '10-a.conflist': list(portmap) },
    wish: { mode: 'owned' },
    after: { '02-x.conflist': list(portmap, entry), '10-a.conflist': list(portmap) },
  },
  {
    who: 'a file of our own takes our entry out of the primary’s',
    before: { '10-a.conflist': list(bridge, old) },
    wish: { mode: 'owned' },
    after: { '02-x.conflist': list(bridge, entry), '10-a.conflist': list(bridge) },
  },
  {
    who: 'a file of our own goes with the primary',
    before: { '02-x.conflist': list(bridge, entry) },
    wish: { mode: 'owned' },
    after: {},
    waitsFor: /own network plugin writes it/,
  },
  {
    who: 'a file of our own outlives a primary that is half written',
    before: { '02-x.conflist': list(bridge, entry), '10-a.conflist': HALF },
    wish: { mode: 'owned' },
    waitsFor: /10-a\.conflist is no JSON object/,
  },
  {
    who: 'a file of our own that does not win is not written',
    before: { '01-a.conflist': list(bridge) },
    wish: { mode: 'owned' },
    waitsFor: /01-a\.conflist sorts before 02-x\.conflist/,
  },
  {
    who: 'back to the primary’s list: ours goes',
    before: { '02-x.conflist': list(bridge, entry), '10-a.conflist': list(bridge) },
    after: { '10-a.conflist': list(bridge, entry) },
  },
  {
    who: 'for Multus: a network of our own',
    before: { '10-a.conflist': list(bridge, old) },
    wish: { mode: 'standalone' },
    after: {
      '10-a.conflist': list(bridge),
      'sidecar-cni.conf': { cniVersion: '0.3.1', name: 'sidecar-cni', ...entry },
    },
    active: 'sidecar-cni.conf',
  },
]

for (const { who, before, wish, after = before, waitsFor, warns, active } of rows) {
  t.test(who, async (t) => {
    const folder = makeDir(before)
    t.teardown(() => {
      rmSync(folder, { recursive: true })
    })
    const wanted: ConfWish = {
      folder,
      entry,
      mode: 'chained',
      confName: undefined,
      ownedFileName: '02-x.conflist',
      fileMode: 0o600,
      isPatient: true,
      ...wish,
    }
    const plan = planConf(await readNetDir(folder), wanted)
    for (const change of plan.changes) t.ok(await applyChange(change, makeBinary('', '')))
    t.strictSame(
      textsOf(folder),
      Object.fromEntries(Object.entries(after).map(([k, v]) => [k, textOf(v)])),
    )
    t.match(plan.waitsFor ?? '', waitsFor ?? /^$/)
    t.match(plan.warnings.join('; '), warns ?? '')
    if (active !== undefined) t.equal(plan.active, active)
    if (waitsFor === undefined) {
      const again = planConf(await readNetDir(folder), wanted)
      t.strictSame(again.changes, [], 'a second look finds nothing to do')
    }
  })
}

t.test('a removal leaves no entry, and nothing of ours', async (t) => {
  const folder = makeDir({
    '02-x.conflist': list(bridge, entry),
    '10-a.conflist': list(bridge, old, portmap, old),
    '20-b.conflist': list(bridge),
    '30-c.conflist': list(old),
    'sidecar-cni.conf': { name: 'sidecar-cni', ...entry },
  })
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  const ours = { type: 'sidecar-cni', ownedFileName: '02-x.conflist' }
  for (const change of planRemoval(await readNetDir(folder), ours)) {
    t.ok(await applyChange(change, makeBinary('', '')))
  }
  t.strictSame(textsOf(folder), {
    '10-a.conflist': textOf(list(bridge, portmap)),
    '20-b.conflist': textOf(list(bridge)),
  })
})

t.test('permissions of the primary’s file are kept, those of ours are narrow', async (t) => {
  const folder = makeDir({ '10-a.conflist': list(bridge) })
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  chmodSync(join(folder, '10-a.conflist'), 0o640)
  const modes = async (mode: ConfWish['mode'], fileMode: number): Promise<unknown> => {
    const wish = {
      folder,
      entry,
      confName: undefined,
      ownedFileName: '02-x.conflist',
      isPatient: true,
    }
    const plan = planConf(await readNetDir(folder), { ...wish, mode, fileMode })
    for (const change of plan.changes) await applyChange(change, makeBinary('', ''))
    const names = readdirSync(folder)
    return names.map((name) => `${name} ${(statSync(join(folder, name)).mode & 0o777).toString(8)}`)
  }
  t.strictSame(await modes('chained', 0o600), ['10-a.conflist 640'])
  t.strictSame(await modes('owned', 0o600), ['02-x.conflist 600', '10-a.conflist 640'])
})

t.test('a file that changed since it was read is not overwritten', async (t) => {
  const folder = makeDir({ '10-a.conflist': list(bridge) })
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  const wish: ConfWish = {
    folder,
    entry,
    mode: 'chained',
    confName: undefined,
    ownedFileName: '02-x.conflist',
    fileMode: 0o600,
    isPatient: true,
  }
  const [change] = planConf(await readNetDir(folder), wish).changes
  writeFileSync(join(folder, '10-a.conflist'), textOf(list(portmap)))
  t.equal(change === undefined ? undefined : await applyChange(change, makeBinary('', '')), false)
  t.strictSame(textsOf(folder), { '10-a.conflist': textOf(list(portmap)) })
})

t.test('the plugin reads in our entry what the settings say', async (t) => {
  const env = {
    KUBERNETES_SERVICE_HOST: '10.0.0.1',
    POD_NAMESPACE: 'mesh',
    DAEMONSET_NAME: 'agent',
    EXCLUDE_NAMESPACES: 'kube-system, tools,',
    ON_ERROR: 'warn',
    IPTABLES_MODE: 'nft',
    IPV6: 'off',
    TOOL_DIRS: '/opt/tools',
    PLUGIN_LOG_LEVEL: 'debug',
  }
  const settings = readSettings({ argv: [], env, programDir: '/' })
  if (!settings.ok) throw new Error(JSON.stringify(settings.problems))
  const { options, problems } = readOptions(
    buildEntry(settings.value, { kind: 'api', kubeconfig: '/var/lib/sidecar-cni/kubeconfig' }),
  )
  t.strictSame(problems, [])
  t.match(options, {
    podSource: 'api',
    kubeconfig: '/var/lib/sidecar-cni/kubeconfig',
    runDir: '/var/run/sidecar-cni',
    excludeNamespaces: ['kube-system', 'tools', 'istio-system', 'mesh'],
    onError: 'warn',
    iptablesMode: 'nft',
    ipv6: 'off',
    toolDirs: ['/opt/tools'],
    logLevel: 'debug',
    agentNamespace: 'mesh',
    agentPodPrefix: 'agent-',
  })
})

t.test('versions are ordered by their numbers', async (t) => {
  const sorted = ['', 'x', '0.9', '0.10.0', 'v1.2.3', '1.10.0-rc.1']
  t.strictSame([...sorted].reverse().sort(compareVersions), ['x', '', ...sorted.slice(2)])
})

function makeDir(files: Readonly<Record<string, unknown>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'cni-conf-'))
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder, name), textOf(content))
  return folder
}

function textOf(content: unknown): string {
  return typeof content === 'string' ? content : `${JSON.stringify(content, null, 2)}\n`
}

function textsOf(folder: string): Record<string, string> {
  const names = readdirSync(folder)
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
}
