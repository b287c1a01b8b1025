/** The documents' flags with the rules of release 1.8, as `iptables -t nat -nvL` lists them. */
import t from 'tap'
import { readListing } from '../../core/rules/read-listing.ts'
import { readRestore } from '../../core/rules/read-iptables.ts'
import { compareRules } from '../../core/rules/drift.ts'
import { need } from '../require.ts'
import { buildProgram, kernelUnavailable, makeLab } from './lab.ts'

const FLAGS = [
  ...['-p', '15001', '-z', '15006', '-u', '1337', '-m', 'REDIRECT', '-i', '*', '-x', '', '-b', '*'],
  ...['-d', '15090,15021,15020', '--rule-profile', '1.8'],
]

/** The documents' table without counters: target, protocol, in, out, source, destination, the rest. */
const TABLE: Readonly<Record<string, readonly string[]>> = {
  PREROUTING: ['ISTIO-INBOUND tcp * * 0.0.0.0/0 0.0.0.0/0'],
  INPUT: [],
  OUTPUT: ['ISTIO-OUTPUT tcp * * 0.0.0.0/0 0.0.0.0/0'],
  POSTROUTING: [],
  'ISTIO-INBOUND': [
    'RETURN tcp * * 0.0.0.0/0 0.0.0.0/0 tcp dpt:15008',
    'RETURN tcp * * 0.0.0.0/0 0.0.0.0/0 tcp dpt:22',
    'RETURN tcp * * 0.0.0.0/0 0.0.0.0/0 tcp dpt:15090',
    'RETURN tcp * * 0.0.0.0/0 0.0.0.0/0 tcp dpt:15021',
    'RETURN tcp * * 0.0.0.0/0 0.0.0.0/0 tcp dpt:15020',
    'ISTIO-IN-REDIRECT tcp * * 0.0.0.0/0 0.0.0.0/0',
  ],
  'ISTIO-IN-REDIRECT': ['REDIRECT tcp * * 0.0.0.0/0 0.0.0.0/0 redir ports 15006'],
  'ISTIO-OUTPUT': [
    'RETURN all * lo 127.0.0.6 0.0.0.0/0',
    'ISTIO-IN-REDIRECT all * lo 0.0.0.0/0 !127.0.0.1 owner UID match 1337',
    'RETURN all * lo 0.0.0.0/0 0.0.0.0/0 ! owner UID match 1337',
    'RETURN all * * 0.0.0.0/0 0.0.0.0/0 owner UID match 1337',
    'ISTIO-IN-REDIRECT all * lo 0.0.0.0/0 !127.0.0.1 owner GID match 1337',
    'RETURN all * lo 0.0.0.0/0 0.0.0.0/0 ! owner GID match 1337',
    'RETURN all * * 0.0.0.0/0 0.0.0.0/0 owner GID match 1337',
    'RETURN all * * 0.0.0.0/0 127.0.0.1',
    'ISTIO-REDIRECT all * * 0.0.0.0/0 0.0.0.0/0',
  ],
  'ISTIO-REDIRECT': ['REDIRECT tcp * * 0.0.0.0/0 0.0.0.0/0 redir ports 15001'],
}

t.test('the kernel lists the documents’ table', need(kernelUnavailable()), async (t) => {
  const program = await buildProgram()
  t.teardown(program.remove)
  for (const backend of ['nft', 'legacy'] as const) {
    const lab = makeLab()
    const flags = [...FLAGS, '--force-iptables-binary', backend]
    const applied = lab.run('pod', process.execPath, [program.path, ...flags])
    const listed = lab.run('pod', `iptables-${backend}`, ['-t', 'nat', '-nvL']).stdout
    const saved = lab.run('pod', `iptables-${backend}-save`, ['-t', 'nat']).stdout
    lab.close()
    t.strictSame({ code: applied.code }, { code: 0 }, applied.stderr)
    t.strictSame(tableOf(listed), TABLE, backend)
    const found = readRestore(saved)
    const how = { style: 'hyphen', users: {}, groups: {} } as const
    const read = found.ok ? compareRules(found.value, readListing(listed, 'nat'), how) : []
    t.strictSame(read, [{ table: 'nat', state: 'same', drift: [] }], 'and the listing reads back')
  }
})

/** Chains by name, each rule in one line; protocols as names, since newer versions print numbers. */
function tableOf(listing: string): Record<string, readonly string[]> {
  const chains: Record<string, string[]> = {}
  let chain: string[] = []
  for (const line of listing.split('\n')) {
    const name = /^Chain (\S+)/.exec(line)?.[1]
    if (name !== undefined) chain = chains[name] = []
    else if (/^\s*\d/.test(line)) {
      const [, , target = '', protocol = '', , ...rest] = line.trim().split(/\s+/)
      const named = { '0': 'all', '6': 'tcp', '17': 'udp' }[protocol] ?? protocol
      chain.push([target, named, ...rest].join(' '))
    }
  }
  return chains
}
