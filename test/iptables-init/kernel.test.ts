import t from 'tap'
import { need } from '../require.ts'
import { AT, buildProgram, kernelUnavailable, makeLab } from './lab.ts'
import { callAs, listen, type Answer, type Call } from './traffic.ts'

const FLAGS = [
  ...[
    '-p',
    '15001',
    '-z',
    '15006',
    '-u',
    '1337',
    '-m',
    'REDIRECT',
    '-i',
    '*',
    '-b',
    '*',
    '-d',
    '15021',
  ],
  ...['-x', '10.250.3.5/32,fd25:3::5/128', '-o', '9100', '-c', 'eth1', '--dual-stack'],
  ...['--redirect-dns', '--capture-all-dns'],
]

const WHO = {
  world: { uid: 0, gid: 0 },
  app: { uid: 1000, gid: 1000 },
  root: { uid: 0, gid: 0 },
  proxy: { uid: 1337, gid: 1337 },
  groupOnly: { uid: 1000, gid: 1337 },
} as const

type Row = {
  readonly name: string
  readonly who: keyof typeof WHO
  readonly call: (at: (typeof AT)['v4' | 'v6'], local: Local) => Call
  readonly port: number
  /** The source that the listener must see, where it matters. */
  readonly seen?: (at: (typeof AT)['v4' | 'v6'], local: Local) => string
}

type Local = { readonly loopback: string; readonly passthrough: string }
const LOCAL = {
  v4: { loopback: '127.0.0.1', passthrough: '127.0.0.6' },
  v6: { loopback: '::1', passthrough: '::6' },
} as const

const rows: readonly Row[] = [
  {
    name: 'world to the application',
    who: 'world',
    call: (at) => ({ to: at.pod, port: 8080 }),
    port: 15006,
  },
  {
    name: 'world to an excluded port',
    who: 'world',
    call: (at) => ({ to: at.pod, port: 15021 }),
    port: 15021,
  },
  {
    name: 'world by an excluded interface',
    who: 'world',
    call: (at) => ({ to: at.pod1, port: 8080 }),
    port: 8080,
  },
  {
    name: 'application to the world',
    who: 'app',
    call: (at) => ({ to: at.near, port: 9000 }),
    port: 15001,
  },
  {
    name: 'root to the world',
    who: 'root',
    call: (at) => ({ to: at.near, port: 9000 }),
    port: 15001,
  },
  {
    name: 'proxy to the world',
    who: 'proxy',
    call: (at) => ({ to: at.near, port: 9000 }),
    port: 9000,
  },
  {
    name: 'group 1337 to the world',
    who: 'groupOnly',
    call: (at) => ({ to: at.near, port: 9000 }),
    port: 9000,
  },
  {
    name: 'application to an excluded port',
    who: 'app',
    call: (at) => ({ to: at.near, port: 9100 }),
    port: 9100,
  },
  {
    name: 'application to an excluded range',
    who: 'app',
    call: (at) => ({ to: at.excluded, port: 9000 }),
    port: 9000,
  },
  {
    name: 'application to its own pod',
    who: 'app',
    call: (at) => ({ to: at.pod, port: 8080 }),
    port: 8080,
  },
  {
    name: 'application to loopback',
    who: 'app',
    call: (_, local) => ({ to: local.loopback, port: 8080 }),
    port: 8080,
  },
  {
    name: 'proxy to its own pod',
    who: 'proxy',
    call: (at) => ({ to: at.pod, port: 8080 }),
    port: 15006,
  },
  {
    name: 'proxy to loopback',
    who: 'proxy',
    call: (_, local) => ({ to: local.loopback, port: 8080 }),
    port: 8080,
  },
  {
    name: 'proxy dialling the application',
    who: 'proxy',
    call: (at, local) => ({ to: at.pod, port: 8080, from: local.passthrough }),
    port: 8080,
    seen: (_, local) => local.passthrough,
  },
  {
    name: 'DNS over UDP',
    who: 'app',
    call: (at) => ({ protocol: 'udp', to: at.near, port: 53 }),
    port: 15053,
  },
  { name: 'DNS over TCP', who: 'app', call: (at) => ({ to: at.near, port: 53 }), port: 15053 },
  {
    name: 'DNS of the agent over TCP',
    who: 'proxy',
    call: (at) => ({ to: at.near, port: 53 }),
    port: 53,
  },
]

const backends = [
  { name: 'iptables-nft', flags: ['--force-iptables-binary', 'nft'] },
  { name: 'iptables-legacy', flags: ['--force-iptables-binary', 'legacy'] },
  { name: 'native nftables', flags: ['--native-nftables'] },
] as const

t.test('real connections', need(kernelUnavailable()), async (t) => {
  const program = await buildProgram()
  t.teardown(program.remove)
  for (const backend of backends) {
    t.test(backend.name, async (t) => {
      const lab = makeLab()
      t.teardown(lab.close)
      const applied = lab.run('pod', process.execPath, [program.path, ...FLAGS, ...backend.flags])
      t.strictSame({ code: applied.code }, { code: 0 }, applied.stderr)
      await Promise.all([
        listen(lab, 'pod', [15001, 15006, 15021, 15053, 8080]),
        listen(lab, 'world', [53, 9000, 9100]),
      ])
      const got: Record<string, Answer> = {}
      const want: Record<string, Answer> = {}
      for (const who of ['world', 'app', 'root', 'proxy', 'groupOnly'] as const) {
        const own = (['v4', 'v6'] as const).flatMap((family) =>
          rows.filter((row) => row.who === who).map((row) => ({ family, row })),
        )
        const calls = own.map(({ family, row }) => row.call(AT[family], LOCAL[family]))
        const answers = callAs(lab, who === 'world' ? 'world' : 'pod', WHO[who], calls)
        own.forEach(({ family, row }, index) => {
          const answer = answers[index] ?? { failed: 'no answer' }
          const seen = row.seen?.(AT[family], LOCAL[family])
          const name = `IPv${family.slice(1)} ${row.name}`
          got[name] = seen === undefined && 'port' in answer ? { ...answer, seen: '' } : answer
          want[name] = { port: row.port, seen: seen ?? '' }
        })
      }
      t.strictSame(got, want)
    })
  }
})
