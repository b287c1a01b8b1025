/** What stands around the requests: the check of the rules, the loop that they prevent, DNS. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { trace } from '../../core/rules/trace.ts'
import { DNS_CAPTURE_PORT } from '../../core/constants.ts'
import { compare } from '../../datapath/agree.ts'
import { grownRules, readerOf } from '../../datapath/counters.ts'
import { AT, makeLab, ROOT } from '../../datapath/lab.ts'
import { inject, runInit } from '../../datapath/sidecar.ts'
import { need } from '../require.ts'
import { makeResolver, serveNames } from './dns.ts'
import { app, client, IN, OUT, proxy, serviceEntry, VIP, WEB } from './rows.ts'
import { datapathUnavailable, initProgram, LOGGING, setUp } from './scenario.ts'

const CNI = {
  values: '{"pilot":{"cni":{"enabled":true}},"sidecarInjector":{"cniAnnotation":true}}',
}

t.test('istio-validation of an injected pod', need(datapathUnavailable()), async (t) => {
  const program = await initProgram(t)
  const lab = makeLab()
  t.teardown(() => lab.close())
  const injected = inject(CNI)
  const validate = async (): Promise<{ readonly code: number; readonly said: string }> => {
    const { code, stderr } = await runInit(lab, program, injected, 'istio-validation', QUICK)
    return { code, said: stderr }
  }
  const without = await validate()
  t.equal(without.code, 126, 'a pod without rules does not start')
  t.match(
    without.said,
    /IPv4 inbound: a connection to 127\.0\.0\.6 port 15002 did not reach the proxy's port 15006: .*REFUSED/,
    'and the reason is told',
  )
  const written = await runInit(lab, program, inject({}))
  t.strictSame({ code: written.code }, { code: 0 }, written.stderr)
  const readRules = await readerOf(lab, 'iptables')
  const before = await readRules('v4')
  const withRules = await validate()
  t.strictSame({ code: withRules.code }, { code: 0 }, withRules.said)
  // No Envoy runs yet: the check answers itself, and tracer and counters are all that can agree.
  const packet = {
    protocol: 'tcp',
    from: { address: '127.0.0.1', port: 40000 },
    to: { address: '127.0.0.6', port: 15002 },
    ...{ uid: 1337, gid: 1337, out: 'lo' },
  } as const
  const traced = trace(before, packet)
  t.match(traced.end, { kind: 'captured', port: 15006 })
  const leg = { by: 'caller', packet, trace: traced, taken: 'destination' } as const
  const answer = { address: '127.0.0.1', port: 0, status: 'answered', body: '' }
  const grown = grownRules(before, await readRules('v4'))
  t.strictSame(compare({ legs: [leg], logged: [], isLogOn: false }, answer, grown, []), [])
})

/** The check waits as long as a node may need; here everything is there or is not. */
const QUICK = ['--probe-timeout', '1s']

t.test(
  'a proxy that runs as another user goes round in a circle',
  need(datapathUnavailable()),
  async (t) => {
    const who = { uid: 1338, gid: 1338, capabilities: [] }
    // Files end the circle: without a limit it would take every port and the processor.
    const how = { who, mostFiles: 600 }
    const { send } = await setUp(t, await initProgram(t), how)
    const call = { to: AT.v4.server, port: 80, milliseconds: 5000 }
    const { answer, grown, journey, lines } = await send(t, 'one', { caller: app, call })
    t.not(answer.status, 200, 'nobody answers')
    t.equal(journey.circle, 1, 'the tracer says so: the proxy comes back to itself')
    t.ok(lines.length > 100, `one request was captured again ${lines.length} times`)
    t.notOk(
      grown.some(
        ({ rule }) =>
          rule.match.some((one) => one.on === 'owner' && one.id === 1337) &&
          rule.then.do === 'return' &&
          !rule.match.some((one) => 'not' in one),
      ),
      'and never met the rule that lets the proxy pass',
    )
  },
)

t.test('DNS is answered by the agent', need(datapathUnavailable()), async (t) => {
  const program = await initProgram(t)
  const capture = 'defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true"}}\n'
  for (const rules of ['iptables', 'native'] as const) {
    t.test(rules, async (t) => {
      const { lab, send } = await setUp(t, program, {
        families: ['v4', 'v6'],
        objects: [serviceEntry(WEB.v4, VIP.v4, [{ address: OTHER }])],
        injection: { mesh: `${LOGGING}${capture}` },
        rules,
        writeRules: async (lab, injected) => {
          const facts = join(lab.folder, 'facts.json')
          const addresses = [`${AT.v4.pod}/24`, `${AT.v6.pod}/64`]
          const resolv_conf = RESOLVERS.map((one) => `nameserver ${one}\n`).join('')
          writeFileSync(facts, JSON.stringify({ addresses, resolv_conf, users: {} }))
          const flags = ['--host-facts', facts, '--dual-stack']
          const more = rules === 'native' ? [...flags, '--native-nftables'] : flags
          const { code, stderr } = await runInit(lab, program, injected, 'istio-init', more)
          t.strictSame({ code }, { code: 0 }, stderr)
        },
      })
      // What is found tells who answered: the agent knows the service, the resolvers a server.
      await serveNames(lab, proxy, DNS_CAPTURE_PORT, ['127.0.0.1', '::1'], VIP.v4)
      const servers = { place: 'server', who: ROOT } as const
      await serveNames(lab, servers, 53, [...RESOLVERS, OTHER], AT.v4.server)
      const lookUp = makeResolver(lab)
      for (const { caller, protocol, to, by, found, through } of lookups) {
        const name = `${protocol} of uid ${caller.who.uid} to ${to}`
        const maker = {
          protocol,
          make: (from: number) => lookUp(caller, protocol, to, from, WEB.v4),
        }
        const { answer, journey } = await send(t, name, { caller, call: { to, port: 53 } }, maker)
        const clusters = journey.logged.map(({ cluster }) => cluster)
        t.strictSame({ found: answer.body, clusters }, { found, clusters: by }, name)
        // What the name was looked up for.
        const call = { to: answer.body, port: 8080 }
        const next = await send(t, `${name}, then the request`, { caller, call })
        t.strictSame(
          next.journey.logged.map(({ cluster }) => cluster),
          through,
        )
        t.equal(next.answer.seen?.by, found === VIP.v4 ? 'other' : 'server')
      }
      // TCP that comes in and is not HTTP.
      await serveNames(lab, { place: 'pod', who: ROOT }, 53, [AT.v4.pod], VIP.v4)
      const stranger = { place: 'client', who: ROOT } as const
      const { answer, journey } = await send(
        t,
        'tcp of a client',
        { caller: client, call: { to: AT.v4.pod, port: 53 } },
        { protocol: 'tcp', make: (from) => lookUp(stranger, 'tcp', AT.v4.pod, from, WEB.v4) },
      )
      t.equal(answer.body, VIP.v4)
      t.strictSame(
        journey.logged.map(({ cluster }) => cluster),
        [IN],
      )
    })
  }
})

const RESOLVERS = [AT.v4.server, AT.v6.server] as const
const OTHER = AT.v4.other

/** Lookups, what of Envoy they go through, what they find, and what the request after them goes through. */
const lookups = [
  ...RESOLVERS.flatMap((to) =>
    (['udp', 'tcp'] as const).flatMap((protocol) => [
      {
        ...{ caller: app, protocol, to, by: [], found: VIP.v4 },
        through: [`outbound|8080||${WEB.v4}`],
      },
      { caller: proxy, protocol, to, by: [], found: AT.v4.server, through: [] },
    ]),
  ),
  // No resolver of the pod's: its port 53 is a port like any other, and over TCP not HTTP.
  ...(['udp', 'tcp'] as const).map((protocol) => ({
    ...{ caller: app, protocol, to: OTHER, by: protocol === 'tcp' ? [OUT] : [] },
    ...{ found: AT.v4.server, through: [OUT] },
  })),
]
