/**
 * Recorded cases of Istio's iptables tool: the folder `iptables` of SIDECAR_CONFORMANCE_DIR, whatever cases
 * it holds. Rules are compared line by line and chain by chain, native nftables as text, and what the
 * kernel showed after loading is compared with what we would expect to read there.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readArgv, resolveProxyUser } from '../../core/options/argv.ts'
import { buildPlan } from '../../core/rules/build.ts'
import { compareRules } from '../../core/rules/drift.ts'
import { printRestore, stepsFor } from '../../core/rules/iptables.ts'
import { loadFamily } from '../../core/rules/load.ts'
import type { Plan } from '../../core/rules/model.ts'
import type { ChainStyle } from '../../core/rules/names.ts'
import { printNftables } from '../../core/rules/nftables.ts'
import { readNft } from '../../core/rules/read-nft.ts'
import { readRestore } from '../../core/rules/read-iptables.ts'
import { readSite } from '../../core/rules/site.ts'
import { load } from '../../core/rules/load.ts'
import { nftSteps } from '../../core/rules/nftables.ts'
import { need } from '../require.ts'
import { folder } from './table.ts'

const FOLDER = join(folder, 'iptables')
const absent = existsSync(FOLDER) ? undefined : `no recorded cases: ${FOLDER}`
const names = absent === undefined ? readdirSync(FOLDER).filter(isCase).sort() : []

t.test('valid cases give the recorded rules', need(absent), async (t) => {
  for (const name of names.filter((one) => has(one, 'expected.v4.restore'))) {
    for (const style of ['underscore', 'hyphen'] as const) {
      const plan = planFor(name, style)
      if (plan === undefined) {
        t.fail(`${name}: refused`)
        continue
      }
      const got = {
        v4: rules(printRestore(stepsFor(plan, 'v4'))),
        v6: rules(printRestore(stepsFor(plan, 'v6'))),
      }
      const expected = (family: 'v4' | 'v6'): string =>
        inStyle(text(name, `expected.${family}.restore`), style)
      t.strictSame(
        got,
        { v4: rules(expected('v4')), v6: rules(expected('v6')) },
        `${name}, ${style}`,
      )
    }
  }
})

t.test('native nftables text is the recorded one', need(absent), async (t) => {
  for (const name of names.filter((one) => has(one, 'expected.nft'))) {
    const plan = planFor(name, 'hyphen')
    const got = plan === undefined ? '' : printNftables(plan)
    t.strictSame(lines(got), lines(text(name, 'expected.nft')), name)
  }
})

t.test('what the kernel shows after loading has no drift', need(absent), async (t) => {
  const how = { style: 'underscore', users: {}, groups: { java: 201, ftp: 221 } } as const
  for (const name of names) {
    const plan = planFor(name, 'underscore')
    if (plan === undefined) continue
    for (const family of ['v4', 'v6'] as const) {
      if (!has(name, `loaded.${family}.save`)) continue
      const found = readRestore(text(name, `loaded.${family}.save`))
      const states = found.ok ? compareRules(loadFamily(plan, family), found.value, how) : []
      t.strictSame(
        states.map(({ state, drift }) => ({ state, drift })),
        states.map(() => ({ state: 'same', drift: [] })),
        `${name} ${family}`,
      )
      t.not(states.length, 0, `${name} ${family} was read`)
    }
    if (!has(name, 'loaded.nft.list')) continue
    const found = readNft(text(name, 'loaded.nft.list'))
    const steps = nftSteps(planFor(name, 'hyphen') ?? plan)
    const states = found.ok
      ? compareRules(load(steps), found.value, { ...how, style: 'hyphen' })
      : []
    t.strictSame(
      states.flatMap(({ drift }) => drift),
      [],
      `${name} nft`,
    )
    t.not(states.length, 0, `${name} nft was read`)
  }
})

t.test('invalid cases are refused with words', need(absent), async (t) => {
  for (const name of names.filter((one) => one.startsWith('invalid-'))) {
    const read = readArgv(...argsFor(name, 'underscore'))
    if (read.ok) continue
    t.ok(
      read.problems.every(({ path, want }) => path !== '' && want !== ''),
      name,
    )
  }
  t.pass('which of them a strict tool may accept is the judge’s affair')
})

const ANNOTATIONS = join(FOLDER, '../annotations.jsonl')
const FLAG_OF = {
  includeInboundPorts: '-b',
  excludeInboundPorts: '-d',
  excludeOutboundPorts: '-o',
  includeOutboundIPRanges: '-i',
  excludeOutboundIPRanges: '-x',
  excludeInterfaces: '-c',
  kubevirtInterfaces: '-k',
  'reroute-virtual-interfaces': '-k',
  interceptionMode: '-m',
} as const

const noRows = existsSync(ANNOTATIONS) ? undefined : `no recorded rows: ${ANNOTATIONS}`
t.test('a flag accepts what its annotation accepts', need(noRows), async (t) => {
  for (const line of readFileSync(ANNOTATIONS, 'utf8').trim().split('\n')) {
    const { annotation, value, ok } = JSON.parse(line) as {
      annotation: string
      value: string
      ok: boolean
    }
    const flag = Object.entries(FLAG_OF).find(([end]) => annotation.endsWith(`/${end}`))?.[1]
    if (!ok || flag === undefined) continue
    t.equal(readArgv([flag, value], {}).ok, true, `${flag} ${JSON.stringify(value)}`)
  }
})

function planFor(name: string, style: ChainStyle): Plan | undefined {
  const read = readArgv(...argsFor(name, style))
  if (!read.ok) return undefined
  const { host } = args(name)
  const options = resolveProxyUser(read.value, {})
  const isV18 = read.value.look.profile === '1.8'
  const site = readSite(
    { addresses: host.addresses, resolvConf: host.resolv_conf, users: {} },
    { ...options, ...(isV18 && { dns: 'off', dualStack: false }), linkLocalCounts: isV18 },
  )
  return site.ok ? buildPlan(options, site.value, read.value.look) : undefined
}

type Args = {
  readonly argv: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly host: { readonly addresses: readonly string[]; readonly resolv_conf: string }
}

function args(name: string): Args {
  return JSON.parse(text(name, 'args.json')) as Args
}

function argsFor(
  name: string,
  style: ChainStyle,
): [readonly string[], Readonly<Record<string, string>>] {
  const { argv, env } = args(name)
  const { rule_profile: profile = 'current' } = JSON.parse(text(name, 'meta.json')) as {
    rule_profile?: string
  }
  return [[...argv, '--rule-profile', profile, '--chain-style', style], env ?? {}]
}

/** Rules by table and chain; chains count even when they are empty. */
function rules(restore: string): Record<string, readonly string[]> {
  const found: Record<string, string[]> = {}
  let table = ''
  for (const line of lines(restore)) {
    const chain = /^(?::|-[NAI] )(\S+)/.exec(line)?.[1] ?? ''
    if (line.startsWith('*')) table = line.slice(1).trim()
    else if (chain !== '') {
      const own = (found[`${table} ${chain}`] ??= [])
      if (/^-[AI]/.test(line)) own.push(line)
    }
  }
  return found
}

function lines(of: string): string[] {
  return of
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}

function inStyle(of: string, style: ChainStyle): string {
  return style === 'underscore'
    ? of
    : of.replace(/\bISTIO_[A-Z_]+/g, (name) => name.replaceAll('_', '-'))
}

function isCase(name: string): boolean {
  return existsSync(join(FOLDER, name, 'args.json'))
}

function has(name: string, file: string): boolean {
  return existsSync(join(FOLDER, name, file))
}

function text(name: string, file: string): string {
  return has(name, file) ? readFileSync(join(FOLDER, name, file), 'utf8') : ''
}
