/**
 * The tracer against the kernel: random connections through random rules. Conntrack tells where the kernel
 * sent each: the reply's source port is the port of the proxy when the connection was captured.
 */
import fc from 'fast-check'
import t from 'tap'
import { printArgv } from '../../core/options/argv.ts'
import type { InterceptionOptions } from '../../core/options/interception.ts'
import { buildPlan } from '../../core/rules/build.ts'
import { loadFamily } from '../../core/rules/load.ts'
import type { RuleSet } from '../../core/rules/model.ts'
import { trace, type Packet } from '../../core/rules/trace.ts'
import { usual } from '../core/rules/samples.ts'
import { need } from '../require.ts'
import { AT, buildProgram, firstLine, kernelUnavailable, makeLab, type Lab } from './lab.ts'

const isFull = process.env['REQUIRE'] === 'all'
const PACKETS = isFull ? 1000 : 300
const SETS = isFull ? 10 : 3
const SITE = {
  families: ['v4', 'v6'],
  hostFamily: 'v4',
  addresses: [],
  hasResolver: false,
  resolvers: { v4: [], v6: [] },
  warnings: [],
} as const
const BACKENDS = [
  ['--force-iptables-binary', 'nft'],
  ['--force-iptables-binary', 'legacy'],
  ['--native-nftables'],
] as const

type Sent = { readonly packet: Packet; readonly place: 'pod' | 'world' }

t.test(
  `the tracer agrees with the kernel on ${PACKETS} packets`,
  need(kernelUnavailable()),
  async (t) => {
    if (!isFull) t.comment('1,000 packets run with REQUIRE=all')
    const program = await buildProgram()
    t.teardown(program.remove)
    let unresolved = 0
    for (let round = 0; round < SETS; round++) {
      const [some] = fc.sample(usual, { numRuns: 1, seed: 20 + round })
      if (some === undefined) throw new Error('no options')
      // TPROXY needs a transparent listener to be seen in conntrack; tproxy.test.ts has one.
      const options: InterceptionOptions = {
        ...some,
        mode: 'REDIRECT',
        dualStack: true,
        dns: some.dns === 'servers' ? 'all' : some.dns,
        includeOutboundCidrs: round % 2 === 0 ? '*' : some.includeOutboundCidrs,
        excludeInterfaces: [],
      }
      const lab = makeLab()
      try {
        const backend = BACKENDS[round % BACKENDS.length] ?? BACKENDS[0]
        const { argv, env } = printArgv(options)
        const applied = lab.run('pod', process.execPath, [program.path, ...argv, ...backend], {
          env,
        })
        t.strictSame({ code: applied.code }, { code: 0 }, applied.stderr)
        const plan = buildPlan(options, SITE, { profile: 'current', style: 'hyphen' })
        const rules = { v4: loadFamily(plan, 'v4'), v6: loadFamily(plan, 'v6') }
        const sent = packets(Math.ceil(PACKETS / SETS), round)
        const seen = await sendAll(lab, sent)
        const lost = sent.filter((one) => !seen.has(one.packet.from.port))
        const again = await sendAll(
          lab,
          lost.map((one) => ({ ...one, packet: moved(one.packet, 20000) })),
        )
        const disagree = sent.flatMap((one) => {
          const port = seen.get(one.packet.from.port) ?? again.get(one.packet.from.port + 20000)
          if (port === undefined) {
            unresolved++
            return []
          }
          const traced = tracedPort(rules, one.packet)
          return traced === port ? [] : [{ packet: one.packet, traced, kernel: port }]
        })
        t.strictSame(disagree, [], backend.join(' '))
      } finally {
        lab.close()
      }
    }
    t.comment(`unresolved: ${unresolved} of ${PACKETS}`)
    t.ok(unresolved <= PACKETS / 100, 'at most one in a hundred is unresolved')
  },
)

/** Where the connection ends up as far as ports tell: the proxy's port, or its own destination. */
function tracedPort(rules: Readonly<Record<'v4' | 'v6', RuleSet>>, packet: Packet): number {
  const { end } = trace(rules[packet.to.address.includes(':') ? 'v6' : 'v4'], packet)
  return end.kind === 'captured' ? end.port : packet.to.port
}

function packets(count: number, seed: number): Sent[] {
  const port = fc.constantFrom(
    22,
    53,
    80,
    443,
    8080,
    9000,
    15001,
    15006,
    15008,
    15020,
    15021,
    15090,
    30303,
  )
  const one = fc.record({
    inbound: fc.boolean(),
    family: fc.constantFrom('v4' as const, 'v6' as const),
    udp: fc.integer({ min: 0, max: 4 }).map((die) => die === 0),
    to: fc.constantFrom('near' as const, 'excluded' as const, 'own' as const, 'loopback' as const),
    port,
    uid: fc.constantFrom(0, 1000, 1337, 1500),
    gid: fc.constantFrom(0, 1000, 1337),
  })
  return fc.sample(one, { numRuns: count, seed }).map((row, index): Sent => {
    const at = AT[row.family]
    const loopback = row.family === 'v4' ? '127.0.0.1' : '::1'
    const protocol = row.udp ? 'udp' : 'tcp'
    const source = 21000 + index
    if (row.inbound) {
      const from = { address: at.gate, port: source }
      return {
        place: 'world',
        packet: { protocol, from, to: { address: at.pod, port: row.port }, in: 'eth0' },
      }
    }
    const to = { near: at.near, excluded: at.excluded, own: at.pod, loopback }[row.to]
    const isLocal = row.to === 'own' || row.to === 'loopback'
    const from = { address: row.to === 'loopback' ? loopback : at.pod, port: source }
    const owner = { uid: row.uid, gid: row.gid }
    const out = isLocal ? 'lo' : 'eth0'
    return {
      place: 'pod',
      packet: { protocol, from, to: { address: to, port: row.port }, ...owner, out },
    }
  })
}

function moved(packet: Packet, by: number): Packet {
  return { ...packet, from: { ...packet.from, port: packet.from.port + by } }
}

/** Sends every packet and returns, by source port, the port that the kernel sent it to. */
async function sendAll(lab: Lab, sent: readonly Sent[]): Promise<Map<number, number>> {
  const seen = new Map<number, number>()
  const [probe] = sent
  if (probe === undefined) return seen
  const watch = lab.start('pod', 'conntrack', [
    '-E',
    '-e',
    'NEW',
    '-b',
    '4194304',
    '-o',
    'extended',
  ])
  let rest = ''
  watch.stdout?.on('data', (data: Buffer) => {
    const lines = (rest + data.toString()).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const ports = [...line.matchAll(/ (sport|dport)=(\d+)/g)].map(([, , port]) => Number(port))
      const [source, , reply] = ports
      if (source !== undefined && reply !== undefined) seen.set(source, reply)
    }
  })
  const send = async (place: Sent['place'], own: readonly Packet[]): Promise<void> => {
    const line = await firstLine(
      lab.start(place, process.execPath, ['-e', SENDER, JSON.stringify(own)]),
    )
    if (line !== 'sent') throw new Error(line)
  }
  // Nobody says when conntrack begins to listen: it does when it tells of a packet.
  for (let tries = 1; tries <= 50 && seen.size === 0; tries++) {
    await send(probe.place, [moved(probe.packet, 10_000 + tries)])
  }
  for (const place of ['pod', 'world'] as const) {
    const own = sent.filter((one) => one.place === place).map((one) => one.packet)
    if (own.length > 0) await send(place, own)
  }
  const isSeen = (): boolean => sent.every((one) => seen.has(one.packet.from.port))
  for (let tries = 0; tries < 20 && !isSeen(); tries++) await wait(100)
  watch.kill('SIGKILL')
  return seen
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** One packet every two milliseconds: a burst would overflow what conntrack's events fit into. */
const SENDER = `
const net = require('node:net'), dgram = require('node:dgram')
const packets = JSON.parse(process.argv[1])
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
// Sockets are made a tick after they are asked for: the identity stays until the packet is out.
const as = async ({ uid, gid }, work) => {
  if (uid !== undefined) { process.setegid(gid); process.seteuid(uid) }
  try { await work() } finally { process.seteuid(0); process.setegid(0) }
}
const run = async () => {
  for (const packet of packets) {
    const { protocol, from, to } = packet
    await as(packet, async () => {
      if (protocol === 'udp') {
        const socket = dgram.createSocket(to.address.includes(':') ? 'udp6' : 'udp4')
        socket.on('error', () => {})
        socket.bind({ port: from.port, address: from.address, exclusive: true })
        await new Promise((resolve) => socket.once('listening', resolve))
        socket.send('?', to.port, to.address, () => {})
        await pause(2)
        socket.close()
        return
      }
      const socket = net.connect({ host: to.address, port: to.port, localAddress: from.address, localPort: from.port })
      socket.on('error', () => {})
      socket.on('connect', () => socket.destroy())
      setTimeout(() => socket.destroy(), 300)
      await pause(2)
    })
  }
  await pause(300)
  console.log('sent')
  process.exit(0)
}
run()
`
