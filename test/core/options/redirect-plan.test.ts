/** The redirect plan as text: what is written is read back, and nothing else is read. */
import fc from 'fast-check'
import t from 'tap'
import { isSame } from '../../../core/json.ts'
import { DEFAULT_INTERCEPTION } from '../../../core/options/interception.ts'
import {
  DEFAULT_LOOK,
  printRedirectPlan,
  type NodePlan,
  type RedirectPlan,
} from '../../../core/options/redirect-plan.ts'
import { LONGEST_PLAN, readRedirectPlan } from '../../../core/options/redirect-plan-read.ts'
import { formatProblem } from '../../../core/problem.ts'
import { buildPlan } from '../../../core/rules/build.ts'
import { options, site } from '../rules/samples.ts'

const KEY = 'sidecar-injector.io/redirect-plan'

const usual: NodePlan = {
  apply: 'cni',
  options: {
    ...DEFAULT_INTERCEPTION,
    inboundPorts: '*',
    excludeInboundPorts: [15090, 15021, 15020].map((port) => ({ first: port, last: port })),
    includeOutboundCidrs: '*',
  },
  look: DEFAULT_LOOK,
  nativeNftables: false,
  hostUsers: true,
  revision: 'default',
}
const USUAL =
  '{"v":1,"apply":"cni","mode":"REDIRECT","uid":[1337],"gid":[1337],' +
  '"port":{"out":15001,"in":15006,"tun":15008},' +
  '"out":{"cidr":["*"],"xcidr":[],"ports":[],"xports":[]},' +
  '"in":{"ports":["*"],"xports":[15090,15021,15020]},"ifs":{"reroute":[],"exclude":[]},' +
  '"dns":"off","dual":false,"dropInvalid":false,"hostUsers":true,"rev":"default"}'

const nodePlan: fc.Arbitrary<NodePlan> = fc.record({
  apply: fc.constant('cni' as const),
  options,
  look: fc.record({
    profile: fc.constantFrom('current', '1.8'),
    style: fc.constantFrom('hyphen', 'underscore'),
  }),
  nativeNftables: fc.boolean(),
  hostUsers: fc.boolean(),
  revision: fc.constantFrom('default', '1-30-3', ''),
})
const plans: fc.Arbitrary<RedirectPlan> = fc.oneof(
  nodePlan,
  fc.record({ apply: fc.constantFrom('init', 'none'), revision: fc.constantFrom('default', 'r1') }),
)

t.test('what is printed', async (t) => {
  t.equal(printRedirectPlan(usual), USUAL)
  t.strictSame(readRedirectPlan(KEY, USUAL), { ok: true, value: usual })
  t.equal(
    printRedirectPlan({ apply: 'none', revision: 'default' }),
    '{"v":1,"apply":"none","rev":"default"}',
  )
})

t.test('law: reading what was printed gives the plan', async () => {
  fc.assert(
    fc.property(plans, (plan) => {
      const text = printRedirectPlan(plan)
      const read = readRedirectPlan(KEY, text)
      if (!read.ok) throw new Error(read.problems.map(formatProblem).join('\n'))
      const isNone = plan.apply === 'cni' && plan.options.mode === 'NONE'
      return printRedirectPlan(read.value) === text && (isNone || isSame(read.value, plan))
    }),
    { numRuns: 300 },
  )
})

t.test('law: the rules of a plan are those of the options that it was made of', async () => {
  fc.assert(
    fc.property(nodePlan, site, (plan, where) => {
      const read = readRedirectPlan(KEY, printRedirectPlan(plan))
      if (!read.ok || read.value.apply !== 'cni') throw new Error('not read')
      const { options, look } = read.value
      return isSame(buildPlan(options, where, look), buildPlan(plan.options, where, plan.look))
    }),
    { numRuns: 100 },
  )
})

/** A usual plan with a part of its text replaced, and what is said about it. */
const refused = [
  { from: USUAL, to: '', says: /got "", want JSON/ },
  { from: USUAL, to: USUAL.slice(0, -1), says: /want JSON/ },
  { from: USUAL, to: 'null', says: /an object/ },
  { from: USUAL, to: `[${USUAL}]`, says: /an object/ },
  { from: '"v":1', to: '"v":2', says: /: \/v: got "2", want 1, the only version/ },
  { from: '"v":1,', to: '', says: /: \/v: got "nothing"/ },
  { from: '"v":1', to: '"v":"1"', says: /: \/v: got/ },
  { from: '"apply":"cni"', to: '"apply":"all"', says: /\/apply: got "all"/ },
  { from: '"apply":"cni"', to: '"apply":"none"', says: /\/mode: .*no such member/ },
  { from: '"dns":"off"', to: '"dns":"off","dns":"all"', says: /each member only once/ },
  { from: '"dns":"off"', to: '"dns":"off","d\\u006es":"all"', says: /each member only once/ },
  { from: '"in":15006', to: '"in":15006,"in":15006', says: /each member only once/ },
  { from: '"dns":"off"', to: '"dns":"off","__proto__":{}', says: /no such member/ },
  { from: '"dns":"off"', to: '"dns":"on"', says: /\/dns: got "on", want off or servers or all/ },
  { from: '"dns":"off",', to: '', says: /\/dns: got "nothing"/ },
  { from: '"mode":"REDIRECT"', to: '"mode":"NONE"', says: /\/mode: got "NONE"/ },
  { from: '"uid":[1337]', to: '"uid":[]', says: /\/uid: .*1 to 256 ids/ },
  { from: '"uid":[1337]', to: '"uid":["root"]', says: /\/uid\/0: got "root", want a whole number/ },
  { from: '"uid":[1337]', to: '"uid":[4294967295]', says: /\/uid\/0/ },
  { from: '"uid":[1337]', to: '"uid":[1.5]', says: /\/uid\/0/ },
  { from: '"gid":[1337]', to: '"gid":1337', says: /\/gid: got "1337", want a list/ },
  { from: '"out":15001', to: '"out":0', says: /\/port\/out/ },
  { from: '"out":15001', to: '"out":70000', says: /\/port\/out/ },
  { from: '"out":15001', to: '"out":"15001"', says: /\/port\/out/ },
  { from: '"out":15001', to: '"out":15006', says: /one listener cannot take both/ },
  { from: '"cidr":["*"]', to: '"cidr":["*","10.0.0.0/8"]', says: /\/out\/cidr\/0: got "\*"/ },
  { from: '"cidr":["*"]', to: '"cidr":["10.0.0.0"]', says: /an address range/ },
  { from: '"cidr":["*"]', to: '"cidr":["10.0.0.0/8 -j X"]', says: /an address range/ },
  { from: '"cidr":["*"]', to: '"cidr":"*"', says: /want a list/ },
  { from: '"in":{"ports":["*"]', to: '"in":{"ports":["80"]', says: /\/in\/ports\/0: got "80"/ },
  { from: '"in":{"ports":["*"]', to: '"in":{"ports":["90-80"]', says: /a port, or a range/ },
  { from: '"in":{"ports":["*"]', to: '"in":{"ports":[0]', says: /\/in\/ports\/0/ },
  { from: '"exclude":[]', to: '"exclude":["a b"]', says: /\/ifs\/exclude\/0/ },
  { from: '"exclude":[]', to: '"exclude":["eth0,eth1"]', says: /\/ifs\/exclude\/0/ },
  { from: '"exclude":[]', to: '"exclude":[],"more":1', says: /\/ifs\/more: .*no such member/ },
  { from: '"dual":false', to: '"dual":"false"', says: /\/dual: got "false", want true or false/ },
  { from: '"rev":"default"', to: `"rev":"${'r'.repeat(254)}"`, says: /\/rev/ },
  { from: '"rev"', to: '"loopback":"10.0.0.0/8","rev"', says: /\/loopback: .*127\.0\.0\.0/ },
  { from: '"rev"', to: '"tproxy":{"mark":1338,"table":133},"rev"', says: /\/tproxy\/mark/ },
  { from: '"rev"', to: '"tproxy":{"mark":1,"table":254},"rev"', says: /\/tproxy\/table/ },
  { from: '"rev"', to: '"group":{"capture":[],"leave":[]},"rev"', says: /\/group\/capture/ },
  { from: '"rev"', to: '"look":{"profile":"1.9","style":"hyphen"},"rev"', says: /\/look\/profile/ },
  { from: '"rev"', to: '"look":{"profile":"1.8"},"rev"', says: /\/look\/style/ },
  { from: '"rev"', to: '"nft":1,"rev"', says: /\/nft: got "1"/ },
  { from: '"xcidr":[]', to: `"xcidr":[${'[],'.repeat(256)}[]]`, says: /257 items/ },
  {
    from: '"xcidr":[]',
    to: `"xcidr":${'['.repeat(8000)}${']'.repeat(8000)}`,
    says: /\/out\/xcidr/,
  },
  { from: USUAL, to: ' '.repeat(LONGEST_PLAN) + USUAL, says: /at most 16384/ },
  { from: USUAL, to: `"${'x'.repeat(1 << 20)}"`, says: /at most 16384/ },
] as const

t.test('what is refused, and what is said', async (t) => {
  for (const { from, to, says } of refused) {
    const text = USUAL.replace(from, () => to)
    t.not(text, USUAL, `${from} is in the plan`)
    const read = readRedirectPlan(KEY, text)
    const told = read.ok ? 'accepted' : read.problems.map(formatProblem).join('\n')
    t.match(told, says, to.slice(0, 60))
    t.ok(told.startsWith(KEY), 'the annotation is named')
  }
})

t.test('every problem is told at once', async (t) => {
  const text = USUAL.replace('"out":15001', '"out":0').replace('"dual":false', '"dual":0')
  const read = readRedirectPlan(KEY, text)
  t.strictSame(read.ok ? [] : read.problems.map(({ path }) => path), [
    `${KEY}: /port/out`,
    `${KEY}: /dual`,
  ])
})

t.test('law: damaged text is refused or means a plan; it never throws', async () => {
  const damaged = fc.tuple(fc.nat(USUAL.length), fc.nat(20), fc.string({ maxLength: 5 }))
  fc.assert(
    fc.property(damaged, ([start, length, insert]) => {
      const text = USUAL.slice(0, start) + insert + USUAL.slice(start + length)
      const read = readRedirectPlan(KEY, text)
      return !read.ok || isSame(readRedirectPlan(KEY, printRedirectPlan(read.value)), read)
    }),
    { numRuns: 500 },
  )
})
