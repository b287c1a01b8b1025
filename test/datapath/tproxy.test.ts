/** TPROXY: the application sees the client's own address although the proxy stands between. */
import t from 'tap'
import { AT } from '../../datapath/lab.ts'
import { need } from '../require.ts'
import { commonRows, ownService, runRows, type Row } from './rows.ts'
import { datapathUnavailable, initProgram, setUp } from './scenario.ts'

/** Rows of the ordinary mode in which no uid 1337 calls: here the proxy is uid 0 in group 1337. */
function rowsOf(family: 'v4' | 'v6'): readonly Row[] {
  const { client, pod } = AT[family]
  return commonRows(family)
    .filter(({ who }) => !/the proxy|excluded outbound/.test(who))
    .map((row): Row => {
      if (row.caller.place === 'client' && row.port === 8080) {
        return { ...row, want: { ...row.want, source: client } }
      }
      // Inside the pod the proxy's own address is what comes in.
      return row.who.endsWith('own service') ? { ...row, want: { ...row.want, source: pod } } : row
    })
}

const ways = [
  { name: 'iptables-nft', flags: ['--force-iptables-binary', 'nft'], rules: 'iptables' },
  { name: 'iptables-legacy', flags: ['--force-iptables-binary', 'legacy'], rules: 'iptables' },
  { name: 'native nftables', flags: ['--native-nftables'], rules: 'native' },
] as const

t.test('TPROXY', need(datapathUnavailable()), async (t) => {
  const program = await initProgram(t)
  for (const { name, flags, rules } of ways) {
    t.test(name, async (t) => {
      const scenario = await setUp(t, program, {
        families: ['v4', 'v6'],
        flags: [...flags, '--dual-stack'],
        rules,
        appPorts: [8080, 9090],
        objects: ownService(['v4', 'v6']),
        injection: {
          annotations: {
            'sidecar.istio.io/interceptionMode': 'TPROXY',
            'traffic.sidecar.istio.io/excludeInboundPorts': '9090',
          },
        },
      })
      t.strictSame(
        scenario.running.user,
        { uid: 0, gid: 1337, capabilities: ['net_admin'] },
        'the injected proxy may open a transparent socket',
      )
      await runRows(t, scenario, (['v4', 'v6'] as const).flatMap(rowsOf))
    })
  }
})
