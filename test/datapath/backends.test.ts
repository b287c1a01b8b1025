/** The same requests, IPv4 and IPv6, however the rules are written: who applies them, and in which backend. */
import t from 'tap'
import { buildPlugin, confWith, envWith, run } from '../cni-plugin/plugin.ts'
import { need } from '../require.ts'
import { commonRows, EXCLUDING, ownService, runRows } from './rows.ts'
import { datapathUnavailable, initProgram, setUp, type Setup } from './scenario.ts'

const FAMILIES = ['v4', 'v6'] as const
const rows = FAMILIES.flatMap(commonRows)

const ways: readonly (Setup & { readonly name: string })[] = [
  { name: 'iptables-nft', flags: ['--force-iptables-binary', 'nft', '--dual-stack'] },
  { name: 'iptables-legacy', flags: ['--force-iptables-binary', 'legacy', '--dual-stack'] },
  { name: 'native nftables', flags: ['--native-nftables', '--dual-stack'], rules: 'native' },
]

t.test('the init container writes the rules', need(datapathUnavailable()), async (t) => {
  const program = await initProgram(t)
  for (const { name, ...setup } of ways) {
    t.test(name, async (t) => {
      const scenario = await setUp(t, program, {
        ...setup,
        families: FAMILIES,
        appPorts: [8080, 9090],
        objects: ownService(FAMILIES),
        injection: { annotations: EXCLUDING },
      })
      await runRows(t, scenario, rows)
    })
  }
})

t.test('the CNI plugin writes the rules', need(datapathUnavailable()), async (t) => {
  const plugin = await buildPlugin()
  t.teardown(plugin.remove)
  const scenario = await setUp(t, '', {
    families: FAMILIES,
    appPorts: [8080, 9090],
    objects: ownService(FAMILIES),
    injection: {
      annotations: EXCLUDING,
      values: '{"pilot":{"cni":{"enabled":true}},"sidecarInjector":{"cniAnnotation":true}}',
    },
    writeRules: async (lab, { pod }) => {
      const annotations = { ...pod.metadata?.annotations, 'kubernetes.io/config.source': 'api' }
      const env = envWith({ CNI_NETNS: lab.netns('pod'), PATH: process.env['PATH'] ?? '' })
      const conf = confWith(annotations, { prevResult: PREVIOUS, run_dir: lab.folder, ipv6: 'on' })
      const { code, stdout, stderr } = await run(plugin, env, conf)
      t.strictSame({ code }, { code: 0 }, `${stdout}${stderr}`)
    },
  })
  t.strictSame(
    scenario.injected.pod.spec?.initContainers?.map(({ name }) => name),
    ['istio-validation'],
    'the pod has no container that writes rules',
  )
  await runRows(t, scenario, rows)
})

/** What the plugin before ours would have answered. */
const PREVIOUS = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'eth0', sandbox: '/var/run/netns/pod' }],
  ips: [
    { address: '10.250.2.19/24', interface: 0 },
    { address: 'fd25:2::19/64', interface: 0 },
  ],
}
