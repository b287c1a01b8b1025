/** What stands around the requests: the check of the rules, the loop that they prevent, DNS. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { trace } from '../../core/rules/trace.ts'
import { compareCounters } from '../../datapath/agree.ts'
import { grownRules, readerOf } from '../../datapath/counters.ts'
import { AT, makeLab, type Lab } from '../../datapath/lab.ts'
import { inject, runInit } from '../../datapath/sidecar.ts'
import { makePlaces } from '../iptables-init/lab.ts'
import { callAs, listen, type Call } from '../iptables-init/traffic.ts'
import { need } from '../require.ts'
import { app } from './rows.ts'
import { datapathUnavailable, initProgram, setUp } from './scenario.ts'

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
  const withRules = await validate()
  t.strictSame({ code: withRules.code }, { code: 0 }, withRules.said)
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
    const { readRules, makeCall } = await setUp(t, await initProgram(t), how)
    const before = await readRules('v4')
    const answer = await makeCall('pod', app.who, { to: AT.v4.server, port: 80 })
    t.not(answer.status, 200, 'nobody answers')
    const grown = grownRules(before, await readRules('v4'))
    const redirect = grown.find(({ chain }) => chain === 'ISTIO-REDIRECT')
    const times = redirect === undefined ? 0 : redirect.after - redirect.before
    t.ok(times > 100, `one request was captured ${times} times`)
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
  const { server: RESOLVER, other: OTHER } = AT.v4
  const capture = 'defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true"}}\n'
  const injected = inject({ mesh: capture })
  for (const rules of ['iptables', 'native'] as const) {
    t.test(rules, async (t) => {
      const lab = makeLab()
      t.teardown(() => lab.close())
      const facts = join(lab.folder, 'facts.json')
      const resolvers = `nameserver ${RESOLVER}\nnameserver ${AT.v6.server}\n`
      const addresses = [`${AT.v4.pod}/24`, `${AT.v6.pod}/64`]
      writeFileSync(facts, JSON.stringify({ addresses, resolv_conf: resolvers, users: {} }))
      const flags = ['--host-facts', facts, '--dual-stack']
      const more = rules === 'native' ? [...flags, '--native-nftables'] : flags
      const written = await runInit(lab, program, injected, 'istio-init', more)
      t.strictSame({ code: written.code }, { code: 0 }, written.stderr)
      const places = placesOf(lab)
      t.teardown(places.stop)
      await Promise.all([listen(places, 'pod', [15001, 15053]), listen(places, 'world', [53])])
      const readRules = await readerOf(lab, rules)
      // A server with several addresses answers datagrams from its first one: only that is asked.
      const rows: readonly (Call & { readonly uid: number; readonly taken: number })[] = [
        { uid: 1000, protocol: 'udp', to: RESOLVER, port: 53, taken: 15053 },
        { uid: 1000, to: RESOLVER, port: 53, taken: 15053 },
        { uid: 1000, protocol: 'udp', to: AT.v6.server, port: 53, taken: 15053 },
        { uid: 1000, to: AT.v6.server, port: 53, taken: 15053 },
        { uid: 1337, protocol: 'udp', to: RESOLVER, port: 53, taken: 53 },
        { uid: 1337, to: RESOLVER, port: 53, taken: 53 },
        { uid: 1000, to: OTHER, port: 53, taken: 15001 },
      ]
      for (const { uid, taken, ...call } of rows) {
        const family = call.to.includes(':') ? 'v6' : 'v4'
        const before = await readRules(family)
        const who = { uid, gid: uid }
        const [answer] = callAs(places, 'pod', who, [call])
        const traced = trace(before, {
          protocol: call.protocol ?? 'tcp',
          from: { address: AT[family].pod, port: 40000 },
          to: { address: call.to, port: call.port },
          ...who,
          out: 'eth0',
        })
        const { end } = traced
        t.strictSame(
          {
            answered: answer !== undefined && 'port' in answer ? answer.port : answer,
            traced: end.kind === 'captured' ? end.port : call.port,
            contradictions: compareCounters([traced], grownRules(before, await readRules(family))),
          },
          { answered: taken, traced: taken, contradictions: [] },
          `${call.protocol ?? 'tcp'} of uid ${uid} to ${call.to}`,
        )
      }
    })
  }
})

function placesOf(lab: Lab): ReturnType<typeof makePlaces> {
  const name = (place: 'pod' | 'server'): string => lab.netns(place).replace('/run/netns/', '')
  return makePlaces(name('pod'), name('server'), join(lab.folder, 'xtables.lock'))
}
