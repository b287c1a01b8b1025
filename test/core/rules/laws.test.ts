import fc from 'fast-check'
import t from 'tap'
import { containsAddress, readCidrFlag, readCidrs } from '../../../core/cidrs.ts'
import { readInterfaceFlag, readInterfaces } from '../../../core/interfaces.ts'
import { readPortRanges, readPorts } from '../../../core/ports.ts'
import { isSame } from '../../../core/json.ts'
import { printArgv, readArgv } from '../../../core/options/argv.ts'
import { buildPlan, type RuleLook } from '../../../core/rules/build.ts'
import { canonicalText } from '../../../core/rules/canonical.ts'
import { compareRules } from '../../../core/rules/drift.ts'
import { printRestore, stepsFor } from '../../../core/rules/iptables.ts'
import { load, loadFamily } from '../../../core/rules/load.ts'
import type { RuleSet } from '../../../core/rules/model.ts'
import { inStyle } from '../../../core/rules/names.ts'
import { nftTransactionSteps, printNftTransaction } from '../../../core/rules/nftables.ts'
import { readNft } from '../../../core/rules/read-nft.ts'
import { readRestore } from '../../../core/rules/read-iptables.ts'
import { trace, type Packet } from '../../../core/rules/trace.ts'
import { options, sent, site, usual } from './samples.ts'

const look: fc.Arbitrary<RuleLook> = fc.record({
  profile: fc.constantFrom('current', '1.8'),
  style: fc.constantFrom('hyphen', 'underscore'),
})
const CURRENT = { profile: 'current', style: 'hyphen' } as const
const RUNS = { numRuns: 120 } as const

t.test('printing restore text and reading it back is the identity', async (t) => {
  holds(
    t,
    fc.property(options, site, look, (some, where, how) => {
      const plan = buildPlan(some, where, how)
      for (const family of plan.families) {
        const read = readRestore(printRestore(stepsFor(plan, family)))
        if (!read.ok) return false
        if (texts(read.value, how.style) !== texts(loadFamily(plan, family), how.style))
          return false
      }
      return true
    }),
  )
})

t.test('printing nftables text and reading it back is the identity', async (t) => {
  holds(
    t,
    fc.property(options, site, (some, where) => {
      const plan = buildPlan(some, where, CURRENT)
      const read = readNft(printNftTransaction(plan))
      return (
        read.ok && texts(read.value, 'hyphen') === texts(load(nftTransactionSteps(plan)), 'hyphen')
      )
    }),
  )
})

t.test('what was just written has no drift, in either style', async (t) => {
  holds(
    t,
    fc.property(options, site, look, (some, where, how) => {
      const comparison = { style: how.style, users: {}, groups: {} }
      const other = how.style === 'hyphen' ? 'underscore' : 'hyphen'
      const wanted = loadFamily(buildPlan(some, where, how), 'v4')
      const found = loadFamily(buildPlan(some, where, { ...how, style: other }), 'v4')
      return [wanted, found].every((set) =>
        compareRules(wanted, set, comparison).every(({ state }) => state === 'same'),
      )
    }),
  )
})

t.test('equal options give equal text', async (t) => {
  holds(
    t,
    fc.property(options, site, look, (some, where, how) => {
      const print = (): string =>
        printRestore(stepsFor(buildPlan(structuredClone(some), where, how), 'v4'))
      return print() === print()
    }),
  )
})

t.test('options printed as a command line read back as the same options', async (t) => {
  holds(
    t,
    fc.property(options, (some) => {
      const { argv, env } = printArgv(some)
      const read = readArgv(argv, env)
      const first = some.ownerGroups !== '*' && some.ownerGroups.length === 0
      if (first) return !read.ok
      if (!read.ok) throw new Error(JSON.stringify(read.problems))
      return isSame(read.value.options, some)
    }),
  )
})

t.test('the proxy’s own traffic off the pod is never captured', async (t) => {
  const owner = fc.constantFrom(
    { uid: 1337, gid: 1000 },
    { uid: 1000, gid: 1337 },
    { uid: 1337, gid: 1337 },
  )
  holds(
    t,
    fc.property(usual, site, sent, owner, (some, where, packet, own) => {
      return endOf(some, where, { ...packet, ...own }) === 'left-alone'
    }),
  )
})

t.test('excluded outbound ports and ranges are never captured', async (t) => {
  holds(
    t,
    fc.property(usual, site, sent, (some, where, packet) => {
      const isPort = some.excludeOutboundPorts.some(
        ({ first, last }) => first <= packet.to.port && packet.to.port <= last,
      )
      const isRange = some.excludeOutboundCidrs.some((cidr) =>
        containsAddress(cidr, packet.to.address),
      )
      // DNS capture stands before the ranges: a query goes to the agent wherever it was sent.
      fc.pre(isPort || (isRange && packet.to.port !== 53))
      return endOf(some, where, packet) === 'left-alone'
    }),
  )
})

t.test('excluded inbound ports are never captured', async (t) => {
  holds(
    t,
    fc.property(usual, site, fc.nat(400), (some, where, offset) => {
      const range = some.excludeInboundPorts[0] ?? { first: 1, last: 1 }
      fc.pre(some.inboundPorts === '*' && some.excludeInboundPorts.length > 0)
      const port = Math.min(range.last, range.first + offset)
      const packet = {
        protocol: 'tcp',
        from: NEAR,
        to: { address: '10.1.2.3', port },
        in: 'eth0',
      } as const
      return endOf(some, where, packet) === 'left-alone'
    }),
  )
})

t.test('no connection goes round between the two sides of the proxy', async (t) => {
  holds(
    t,
    fc.property(
      usual,
      site,
      fc.constantFrom(1337, 1000),
      fc.constantFrom(1337, 1000),
      (some, where, uid, gid) => {
        fc.pre(uid === 1337 || gid === 1337)
        // What the inbound side dials, from the address that is kept for it, must reach the application.
        const dial: Packet = {
          protocol: 'tcp',
          from: { address: '127.0.0.6', port: 40000 },
          to: { address: '10.1.2.3', port: 8080 },
          uid,
          gid,
          out: 'lo',
        }
        return endOf(some, where, dial) === 'left-alone'
      },
    ),
  )
})

t.test('a flag accepts what the annotation accepts', async (t) => {
  const text = fc
    .array(
      fc.constantFrom(
        '80',
        '0',
        '65535',
        ' ',
        ',',
        '\n',
        '10.0.0.0/8',
        'fd00::/8',
        'eth0',
        '-',
        '_',
        '.',
        '*',
        '1',
      ),
    )
    .map((parts) => parts.join(''))
  const readers = [
    [readPorts, readPortRanges],
    [readCidrs, readCidrFlag],
    [readInterfaces, readInterfaceFlag],
  ] as const
  const property = fc.property(text, (value) =>
    readers.every(([annotation, flag]) => !annotation('x', value).ok || flag('x', value).ok),
  )
  const result = fc.check(property, { numRuns: 5000 })
  t.equal(result.failed, false, fc.defaultReportMessage(result) ?? `${result.numRuns} runs`)
})

const NEAR = { address: '10.0.0.9', port: 40000 } as const

function endOf(
  ...[some, where, packet]: [
    Parameters<typeof buildPlan>[0],
    Parameters<typeof buildPlan>[1],
    Packet,
  ]
): string {
  const plan = buildPlan(some, where, CURRENT)
  const family = packet.to.address.includes(':') ? 'v6' : 'v4'
  const iptables = trace(loadFamily(plan, family), packet).end.kind
  const nft = trace(load(nftTransactionSteps(plan)), packet).end.kind
  return iptables === nft ? iptables : `${iptables}, but ${nft} in nft`
}

/** A rule set as text: tables and chains by name, rules in order. */
function texts(set: RuleSet, style: 'hyphen' | 'underscore'): string {
  const how = { style, users: {}, groups: {} }
  return JSON.stringify(
    set.tables
      .map((table) => [
        table.name,
        table.chains
          .map((chain) => [
            inStyle(chain.name, style),
            chain.rules.map((rule) => canonicalText(rule, how)),
          ])
          .sort(),
      ])
      .sort(),
  )
}

function holds<T>(
  t: { readonly equal: (a: unknown, b: unknown, name: string) => boolean },
  property: fc.IProperty<T>,
): void {
  const result = fc.check(property, RUNS)
  t.equal(result.failed, false, fc.defaultReportMessage(result) ?? `${result.numRuns} runs`)
}
