/** A failure injected at every step of an apply: the state before is kept or restored, the step is named. */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { need } from '../require.ts'
import { buildProgram, kernelUnavailable, makeLab, type Lab } from './lab.ts'
import { snapshot } from './state.ts'

const FLAGS = [
  '-b',
  '*',
  '-i',
  '*',
  '-m',
  'TPROXY',
  '--dual-stack',
  '--redirect-dns',
  '--capture-all-dns',
]
const OLD = ['-b', '80', '-i', '10.0.0.0/8', '--dual-stack', '--chain-style', 'underscore']
const FOREIGN =
  '*nat\n-A PREROUTING -p tcp --dport 7777 -j RETURN\n-A OUTPUT -p udp --dport 123 -j ACCEPT\nCOMMIT\n'

type Row = {
  readonly name: string
  /** Programs put in front of the real ones: name and shell text; `real` stands for the real program. */
  readonly shims?: Readonly<Record<string, string>>
  readonly without?: readonly string[]
  readonly bounding?: string
  /** Rules of an older configuration are there before, unless this says otherwise. */
  readonly before?: 'nothing'
  readonly says: RegExp
}

const FULL = 'echo "write: No space left on device" >&2; exit 4'
const rows: readonly Row[] = [
  {
    name: 'the IPv6 rules do not pass the test',
    shims: { 'ip6tables-nft-restore': FULL },
    says: /test the rules: \S+ip6tables-nft-restore.*No space left.*nothing was changed/,
  },
  {
    name: 'writing the IPv6 rules fails after IPv4 was written',
    shims: {
      'ip6tables-nft-restore': `case "$*" in *--test*) exec real "$@";; *--counters*) exec real "$@";; esac; ${FULL}`,
    },
    says: /write the rules: \S+ip6tables-nft-restore.*No space left.*as they were before/,
  },
  {
    name: 'writing the IPv4 rules fails after its first table',
    shims: {
      'iptables-nft-restore': `case "$*" in *--test*|*--counters*) exec real "$@";; esac
text=$(cat); case "$text" in *--on-port*) printf '%s\\n' "$text" | sed '/^COMMIT/q' | real "$@"; ${FULL};; *) printf '%s\\n' "$text" | exec real "$@";; esac`,
    },
    says: /write the rules: \S+iptables-nft-restore.*No space left.*as they were before/,
  },
  {
    name: 'reading the IPv6 rules fails',
    shims: { 'ip6tables-nft-save': FULL, 'ip6tables-legacy-save': FULL },
    says: /read the rules: \S+ip6tables-.*-save failed with 4: .*No space left/,
  },
  {
    name: 'there is no ip6tables',
    without: ['ip6tables-nft-save', 'ip6tables-legacy-save', 'ip6tables-save'],
    says: /find the tools: ip6tables-plain-save|find the tools: ip6tables-save/,
  },
  {
    name: 'the routing rule is refused',
    shims: { ip: `case "$*" in *"rule add"*) ${FULL};; esac; exec real "$@"` },
    says: /set up routes: ip rule add.*No space left/,
  },
  {
    name: 'the local route of IPv6 is refused',
    shims: { ip: `case "$*" in "-6 route add"*) ${FULL};; esac; exec real "$@"` },
    says: /set up routes: ip route add.*No space left/,
  },
  {
    name: 'the address ::6 is refused',
    shims: { ip: `case "$*" in *"address add"*) ${FULL};; esac; exec real "$@"` },
    before: 'nothing',
    says: /add address ::6: ip failed with 4: .*No space left/,
  },
  {
    name: 'no NET_ADMIN',
    bounding: '-net_admin',
    says: /read the rules: .*Permission denied|Operation not permitted/,
  },
]

t.test('failures', need(kernelUnavailable()), async (t) => {
  const program = await buildProgram()
  t.teardown(program.remove)
  for (const row of rows) {
    t.test(row.name, async (t) => {
      const lab = makeLab()
      const tools = makeTools(row)
      t.teardown(() => {
        lab.close()
        rmSync(tools, { recursive: true })
      })
      lab.run('pod', 'iptables-nft-restore', ['--noflush'], { input: FOREIGN })
      if (row.before === undefined) {
        const old = lab.run('pod', process.execPath, [program.path, ...OLD])
        t.strictSame({ code: old.code }, { code: 0 }, old.stderr)
      }
      const was = snapshot(lab)
      const ran = runWith(lab, tools, row, [program.path, ...FLAGS, '--reconcile'])
      const isNamed = row.says.test(ran.stderr)
      t.strictSame({ code: ran.code, isNamed }, { code: 1, isNamed: true }, ran.stderr)
      t.strictSame(snapshot(lab), was, 'the state is what it was')
    })
  }

  t.test('the dry run file is on a full disk', async (t) => {
    const lab = makeLab()
    t.teardown(lab.close)
    const env = { DRY_RUN_FILE_PATH: '/dev/full' }
    const ran = lab.run('pod', process.execPath, [program.path, '--dry-run'], { env })
    t.strictSame(
      { code: ran.code, isNamed: /ENOSPC/.test(ran.stderr) },
      { code: 1, isNamed: true },
      ran.stderr,
    )
  })
})

function runWith(lab: Lab, tools: string, row: Row, args: readonly string[]) {
  const own = { env: { PATH: tools } }
  if (row.bounding === undefined) return lab.run('pod', process.execPath, args, own)
  return lab.run(
    'pod',
    'setpriv',
    [`--bounding-set=${row.bounding}`, '--', process.execPath, ...args],
    own,
  )
}

/** A folder with every program that an apply may use, less what a row takes away, and its shims. */
function makeTools(row: Row): string {
  const folder = mkdtempSync(join(tmpdir(), 'ipt-tools-'))
  const real = join(folder, 'real')
  mkdirSync(real)
  const places = ['/usr/sbin', '/sbin', '/usr/bin', '/bin']
  const names = /^(ip|nft|cat|sed|setpriv|nsenter|sh|ip6?tables(-(nft|legacy))?-(save|restore))$/
  const found = new Map<string, string>()
  for (const place of places) {
    for (const name of readdirSync(place))
      if (names.test(name) && !found.has(name)) found.set(name, join(place, name))
  }
  for (const [name, path] of found) {
    if (row.without?.includes(name) === true) continue
    const shim = row.shims?.[name]
    if (shim === undefined) {
      symlinkSync(path, join(folder, name))
      continue
    }
    const text = shim.replaceAll(/\breal\b/g, path)
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`)
    chmodSync(join(folder, name), 0o755)
  }
  return folder
}
