/** Rules of other people beside a sidecar's: the tracer says where real connections end, of every engine together. */
import t from 'tap'
import { traceLive } from '../../core/describe/seen.ts'
import type { Packet } from '../../core/rules/trace.ts'
import { seeRules } from '../../datapath/describe-rules.ts'
import { makeQuickRun } from '../../iptables-init/run.ts'
import { AT, buildProgram, kernelUnavailable, makeLab, type Lab } from '../iptables-init/lab.ts'
import { callAs, listen } from '../iptables-init/traffic.ts'
import { need } from '../require.ts'

const FLAGS = [
  ...['-p', '15001', '-z', '15006', '-u', '1337', '-m', 'REDIRECT', '-i', '*', '-b', '*'],
  ...['-x', '10.250.3.5/32', '-d', '15021', '--dual-stack'],
]
const NFT = ['--force-iptables-binary', 'nft']
const LEGACY = ['--force-iptables-binary', 'legacy']
const NATIVE = ['--native-nftables']

/** A sidecar's rules, and what others add: one command a line. */
const rows: readonly {
  readonly who: string
  readonly backend: readonly string[]
  readonly added: readonly string[]
}[] = [
  { who: 'nobody else', backend: NFT, added: [] },
  {
    who: 'accepts before our jump',
    backend: NFT,
    added: [
      'iptables-nft -t nat -I OUTPUT -p tcp --dport 9100 -j ACCEPT',
      'iptables-nft -t nat -I OUTPUT -d 10.250.3.4/32 -m owner --uid-owner 2000 -j RETURN',
      'iptables-nft -t nat -I PREROUTING -s 10.250.2.0/24 -p tcp -m multiport --dports 8080,9000 -j ACCEPT',
      'ip6tables-nft -t nat -I PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 9000',
    ],
  },
  {
    who: 'drops where the proxy listens',
    backend: NFT,
    added: [
      'iptables-nft -A INPUT -p tcp --dport 15006 -j DROP',
      'ip6tables-nft -A INPUT -p tcp --dport 15001 -j REJECT --reject-with tcp-reset',
      'iptables-nft -t mangle -A INPUT -p tcp --dport 15021 -j DROP',
    ],
  },
  {
    who: 'drops what was asked for, which is not where it goes',
    backend: LEGACY,
    added: [
      'iptables-legacy -A OUTPUT -p tcp --dport 9000 -m owner --uid-owner 1000 -j DROP',
      'ip6tables-legacy -P INPUT DROP',
      'ip6tables-legacy -A INPUT -i lo -j ACCEPT',
      'ip6tables-legacy -A INPUT -p ipv6-icmp -j ACCEPT',
      'ip6tables-legacy -A INPUT ! -p tcp -j DROP',
      'ip6tables-legacy -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT',
    ],
  },
  {
    who: 'drops in one engine what another sent on',
    backend: NFT,
    added: [
      'iptables-legacy -A INPUT -p tcp --dport 15006 -j REJECT',
      'iptables-legacy -P OUTPUT DROP',
      'iptables-legacy -A OUTPUT -p tcp --dport 15001 -j ACCEPT',
      'iptables-legacy -A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT',
    ],
  },
  {
    who: 'accepts in one engine, which does not hold in another',
    backend: NATIVE,
    added: [
      'iptables-legacy -t nat -A OUTPUT -p tcp --dport 9100 -j ACCEPT',
      'iptables-nft -A INPUT -p tcp --dport 15001 -j DROP',
    ],
  },
]

const WHO = [
  { place: 'world', uid: 0, gid: 0 },
  { place: 'pod', uid: 1000, gid: 1000 },
  { place: 'pod', uid: 2000, gid: 2000 },
  { place: 'pod', uid: 1337, gid: 1337 },
] as const

t.test('the tracer agrees with the kernel', need(kernelUnavailable()), async (t) => {
  const program = await buildProgram()
  t.teardown(program.remove)
  for (const { who, backend, added } of rows) {
    t.test(who, async (t) => {
      const lab = makeLab()
      t.teardown(lab.close)
      const words = [program.path, ...FLAGS, ...backend]
      demand(lab, [process.execPath, ...words])
      for (const line of added) demand(lab, line.split(' '))
      await Promise.all([
        listen(lab, 'pod', [15001, 15006, 15021, 8080, 9000]),
        listen(lab, 'world', [9000, 9100]),
      ])
      const run = makeQuickRun({ networkNamespace: `/run/netns/${lab.pod}` })
      const { standings, unseen } = await seeRules(run, process.env['PATH'])
      t.strictSame(unseen, [])
      const seen = { addresses: [], standings, listeners: [], admin: SILENT, unseen }
      const got: Record<string, string> = {}
      const want: Record<string, string> = {}
      for (const { place, uid, gid } of WHO) {
        const calls = (['v4', 'v6'] as const).flatMap((family) => callsOf(place, AT[family]))
        const answers = callAs(lab, place, { uid, gid }, calls)
        for (const [index, { to, port }] of calls.entries()) {
          const answer = answers[index]
          const name = `uid ${uid} of the ${place} to ${to} port ${port}`
          got[name] = answer !== undefined && 'port' in answer ? `${answer.port}` : 'no answer'
          const { end } = traceLive(seen, packetOf(place, { to, port }, { uid, gid }))
          want[name] =
            end.kind === 'captured'
              ? `${end.port}`
              : ({ 'left-alone': `${port}`, dropped: 'no answer' }[end.kind as string] ?? end.kind)
        }
      }
      t.strictSame(got, want)
    })
  }
})

const SILENT = { kind: 'silent', why: 'nobody was asked' } as const

type Target = { readonly to: string; readonly port: number }

function callsOf(place: 'pod' | 'world', at: (typeof AT)['v4' | 'v6']): readonly Target[] {
  if (place === 'world') return [8080, 9000, 15021].map((port) => ({ to: at.pod, port }))
  return [
    { to: at.near, port: 9000 },
    { to: at.near, port: 9100 },
    { to: at.excluded, port: 9000 },
    { to: at.pod, port: 8080 },
  ]
}

function packetOf(
  place: 'pod' | 'world',
  { to, port }: Target,
  who: { readonly uid: number; readonly gid: number },
): Packet {
  const at = to.includes(':') ? AT.v6 : AT.v4
  const goal = { protocol: 'tcp', to: { address: to, port } } as const
  if (place === 'world') return { ...goal, from: { address: at.gate, port: 40000 }, in: 'eth0' }
  return {
    ...{ ...goal, ...who },
    ...{ from: { address: at.pod, port: 40000 }, out: to === at.pod ? 'lo' : 'eth0' },
  }
}

function demand(lab: Lab, [file = '', ...args]: readonly string[]): void {
  const { code, stderr } = lab.run('pod', file, args)
  if (code !== 0) throw new Error(`${file} ${args.join(' ')}: ${stderr}`)
}
