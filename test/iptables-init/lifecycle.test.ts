/** A life of rules in one namespace: written, written again, changed by somebody, repaired, removed. */
import t from 'tap'
import { need } from '../require.ts'
import { buildProgram, kernelUnavailable, makeLab, type Ran } from './lab.ts'
import { snapshot } from './state.ts'

const FLAGS = ['-b', '*', '-i', '*', '-d', '15021', '-c', 'eth1', '--dual-stack']
const FOREIGN = `*nat
:MINE - [0:0]
-A PREROUTING -p tcp --dport 7777 -j MINE
-A MINE -m comment --comment "two words" -j RETURN
COMMIT
*filter
-A INPUT -p udp --dport 9 -j DROP
COMMIT
`

t.test('the life of rules', need(kernelUnavailable()), async (t) => {
  const program = await buildProgram()
  t.teardown(program.remove)
  for (const backend of ['nft', 'legacy'] as const) {
    t.test(backend, async (t) => {
      const lab = makeLab()
      t.teardown(lab.close)
      const tool = `iptables-${backend}`
      const run = (...argv: readonly string[]): Ran =>
        lab.run('pod', process.execPath, [program.path, ...argv])
      const wants = (name: string, ran: Ran, code: number, log: RegExp): void => {
        t.strictSame(
          { code: ran.code, said: log.test(ran.stderr) },
          { code, said: true },
          `${name}: ${ran.stderr}`,
        )
      }
      lab.run('pod', `${tool}-restore`, ['--noflush'], { input: FOREIGN })
      const empty = snapshot(lab)

      wants('verify before', run('verify', ...FLAGS), 1, /differences/)
      wants('first', run(...FLAGS), 0, new RegExp(`IPv4: rules written, ${backend}`))
      const written = snapshot(lab)
      wants('again', run(...FLAGS), 0, /nothing to do/)
      wants('in the other style', run(...FLAGS, '--chain-style', 'underscore'), 0, /nothing to do/)
      t.strictSame(snapshot(lab), written, 'nothing was done')
      wants('verify', run('verify', ...FLAGS), 0, /as wanted/)

      const edits = [
        ['-D', 'ISTIO-OUTPUT', '-d', '127.0.0.1/32', '-j', 'RETURN'],
        ['-A', 'ISTIO-INBOUND', '-p', 'tcp', '--dport', '1', '-j', 'ACCEPT'],
        ['-N', 'ISTIO_OLD'],
        ['-A', 'OUTPUT', '-j', 'ISTIO-OUTPUT'],
      ]
      for (const edit of edits) lab.run('pod', tool, ['-t', 'nat', ...edit])
      const edited = snapshot(lab)
      const drift = run('verify', ...FLAGS, '--output', 'json')
      const found = JSON.parse(drift.stdout) as { drift: { kind: string; chain: string }[] }
      t.strictSame(found.drift.map(({ kind, chain }) => `${kind} ${chain}`).sort(), [
        'extra ISTIO-INBOUND',
        'extra ISTIO-OLD',
        'extra OUTPUT',
        'missing ISTIO-OUTPUT',
      ])
      wants('apply over drift', run(...FLAGS), 1, /- nat ISTIO-OUTPUT: -d 127.0.0.1\/32 -j RETURN/)
      t.strictSame(snapshot(lab), edited, 'a refused apply changes nothing')
      wants('reconcile', run(...FLAGS, '--reconcile'), 0, /rules written/)
      t.strictSame(snapshot(lab), written, 'reconcile repairs')
      wants('force', run(...FLAGS, '--force-apply'), 0, /rules written/)
      t.strictSame(snapshot(lab), written, 'force writes the same')

      lab.run('pod', tool, [
        '-t',
        'nat',
        '-D',
        'ISTIO-OUTPUT',
        '-m',
        'owner',
        '--uid-owner',
        '1337',
        '-j',
        'RETURN',
      ])
      lab.run('pod', tool, [
        '-t',
        'nat',
        '-A',
        'ISTIO-OUTPUT',
        '-m',
        'owner',
        '--uid-owner',
        '1337',
        '-j',
        'RETURN',
      ])
      wants(
        'a rule that moved',
        run(...FLAGS),
        1,
        /~ nat ISTIO-OUTPUT: -m owner --uid-owner 1337 -j RETURN/,
      )

      wants('clean', run('--cleanup-only'), 0, /rules removed/)
      t.strictSame(snapshot(lab), empty, 'what is not ours stays')
      wants('clean again', run('--cleanup-only'), 0, /nothing of ours/)
      wants('underscore', run(...FLAGS, '--chain-style', 'underscore'), 0, /rules written/)
      wants('clean by other flags', run('--cleanup-only', '-u', '5'), 0, /rules removed/)
      t.strictSame(snapshot(lab), empty, 'either style goes')
    })
  }

  t.test('rules are never in two places', async (t) => {
    const lab = makeLab()
    t.teardown(lab.close)
    const run = (...argv: readonly string[]): Ran =>
      lab.run('pod', process.execPath, [program.path, ...argv])
    const places = (): readonly string[] =>
      Object.entries(snapshot(lab))
        .filter(([, text]) => /istio/i.test(text))
        .map(([name]) => name.replace(/ \*.*/, '').replace(/^ip6?tables-/, ''))
    const used = (): readonly string[] => [...new Set(places())]
    t.equal(run(...FLAGS, '--force-iptables-binary', 'legacy').code, 0)
    t.equal(run(...FLAGS).code, 0, 'the backend in use is found')
    t.strictSame(used(), ['legacy'])
    t.equal(run(...FLAGS, '--force-iptables-binary', 'nft').code, 1, 'the other one is refused')
    t.strictSame(used(), ['legacy'])
    t.equal(run(...FLAGS, '--force-iptables-binary', 'nft', '--reconcile').code, 0)
    t.strictSame(used(), ['nft'])
    t.equal(run(...FLAGS, '--native-nftables').code, 1)
    t.equal(run(...FLAGS, '--native-nftables', '--reconcile').code, 0)
    t.strictSame(places(), ['nft'], 'only tables of our own')
    t.equal(run(...FLAGS).code, 1, 'iptables beside them is refused')
    t.equal(run(...FLAGS, '--reconcile').code, 0)
    t.notOk(places().length === 1, 'iptables again')
  })

  t.test('another network namespace is entered', async (t) => {
    const lab = makeLab()
    t.teardown(lab.close)
    const run = (...argv: readonly string[]): Ran =>
      lab.run('world', process.execPath, [
        program.path,
        '--network-namespace',
        `/run/netns/${lab.pod}`,
        ...argv,
      ])
    const applied = run(...FLAGS)
    t.strictSame({ code: applied.code }, { code: 0 }, applied.stderr)
    t.match(lab.run('pod', 'iptables-nft-save', []).stdout, /ISTIO-OUTPUT/)
    t.notMatch(lab.run('world', 'iptables-nft-save', []).stdout, /ISTIO/)
    const traced = lab.run('world', process.execPath, [
      ...[program.path, 'trace', '--live', '--network-namespace', `/run/netns/${lab.pod}`],
      ...['--from', '10.250.2.1:40000', '--to', '10.250.2.19:8080'],
    ])
    t.match(traced.stdout, /captured by the proxy on 15006/)
    t.strictSame(run('--network-namespace', '/run/netns/none', ...FLAGS).code, 1)
  })

  t.test('validation finds what is wrong', async (t) => {
    const lab = makeLab()
    t.teardown(lab.close)
    const check = ['--run-validation', '--skip-rule-apply', '--probe-timeout', '1s']
    const as = (id: number, ...argv: readonly string[]): number | null =>
      lab.run('pod', process.execPath, [program.path, ...FLAGS, ...argv], { uid: id, gid: id }).code
    t.equal(as(1337, ...check), 126, 'without rules')
    t.equal(as(0, '--run-validation'), 0, 'written and tested by root in one run')
    t.equal(as(1337, ...check), 0, 'as the proxy')
    t.equal(as(1337, ...check, '-z', '15007'), 126, 'another port than the rules have')
  })
})
