import { printCidr, readCidrFlag } from '../cidrs.ts'
import {
  LARGEST_OWNER_GROUPS,
  PROXY_ID,
  REDIRECT_PLAN_DIGEST_ENV,
  REDIRECT_PLAN_ENV,
} from '../constants.ts'
import type { Owner } from '../ids.ts'
import { printPortRange, type PortRange } from '../ports.ts'
import { good, type Problem, type Read } from '../problem.ts'
import type { RuleLook } from '../rules/build.ts'
import { ENVIRONMENT, FLAGS, TRACE_FLAGS, type Flag } from './flags.ts'
import type { InterceptionOptions } from './interception.ts'
import * as read from './values.ts'
import { readDuration, readPortNumber, readSwitch, readWords } from './words.ts'

/** What is to be done with the rules. */
export type Command = 'apply' | 'verify' | 'trace'

/** How the tool is to go about it; nothing here changes a rule. Times in milliseconds. */
export type RunOptions = {
  readonly dryRun: boolean
  readonly restoreFormat: boolean
  readonly probePort: number
  readonly probeTimeout: number
  readonly skipRuleApply: boolean
  readonly runValidation: boolean
  readonly networkNamespace?: string
  readonly cniMode: boolean
  readonly reconcile: boolean
  readonly cleanupOnly: boolean
  readonly forceApply: boolean
  readonly nativeNftables: boolean
  readonly forceBinary?: 'nft' | 'legacy'
  readonly hostFacts?: string
  readonly output: 'text' | 'json'
  readonly explain: boolean
  readonly dryRunFile?: string
  /** The redirect plan as the pod carries it, and the digest that injection gave the pod for it. */
  readonly guardedPlan?: { readonly text: string; readonly digest: string }
}

/** A command line and an environment, read. */
export type Request = {
  readonly command: Command
  readonly wantsHelp: boolean
  readonly options: InterceptionOptions
  /** Present when no uid was given: the user whose uid is to be taken, if the host knows it. */
  readonly proxyUser?: string
  /** Whether the groups follow the users, because none were given. */
  readonly gidsFollowUids: boolean
  readonly look: RuleLook
  readonly run: RunOptions
  /** Texts of the flags of `trace`, by name; empty ones left out. */
  readonly trace: Readonly<Record<string, string>>
  /** Lines for the log: input that was accepted but has no effect. */
  readonly warnings: readonly string[]
}

/** The environment of a process: names and texts. */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads a command line (without program name) and an environment. All problems are collected; each names
 * the flag or the variable that the text came from. A leading `istio-iptables` is swallowed.
 */
export function readArgv(argv: readonly string[], env: Environment): Read<Request> {
  const own = argv[0] === 'istio-iptables' ? argv.slice(1) : argv
  const command = own[0] === 'verify' || own[0] === 'trace' ? own[0] : 'apply'
  const flags: readonly Flag[] = command === 'trace' ? [...FLAGS, ...TRACE_FLAGS] : FLAGS
  const words = readWords(flags, command === 'apply' ? own : own.slice(1))
  if (!words.ok) return words
  const given = new Map(words.value.given.map(({ flag, text }) => [flag.name, text]))
  return readSettings(command, given, env)
}

/** The options with the proxy's user looked up among the host's users; 1337 where it is not known. */
export function resolveProxyUser(
  request: Request,
  users: Readonly<Record<string, number>>,
): InterceptionOptions {
  if (request.proxyUser === undefined) return request.options
  const known = Object.hasOwn(users, request.proxyUser) ? users[request.proxyUser] : undefined
  const ids = [known ?? PROXY_ID]
  return { ...request.options, proxyUids: ids, ...(request.gidsFollowUids && { proxyGids: ids }) }
}

/** A command line and environment that read back as the same options. Every setting is written out. */
export function printArgv(options: InterceptionOptions): {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
} {
  const list = (items: readonly Owner[]): string => items.join(',')
  const ports = (ranges: readonly PortRange[]): string =>
    ranges.map((one) => printPortRange(one)).join(',')
  const { inboundPorts, includeOutboundCidrs: included, ownerGroups } = options
  // A list without ports still hooks inbound traffic, which empty text would not.
  const inbound =
    inboundPorts === '*' ? '*' : inboundPorts === 'none' ? '' : ports(inboundPorts) || ','
  return {
    argv: [
      ...['-p', `${options.ports.outbound}`, '-z', `${options.ports.inbound}`],
      ...[
        '-e',
        `${options.ports.tunnel}`,
        '-u',
        list(options.proxyUids),
        '-g',
        list(options.proxyGids),
      ],
      ...['-m', options.mode, '-b', inbound, '-d', ports(options.excludeInboundPorts)],
      ...['-c', options.excludeInterfaces.join(','), '-k', options.virtualInterfaces.join(',')],
      ...['-i', included === '*' ? '*' : included.map(printCidr).join(',')],
      ...['-x', options.excludeOutboundCidrs.map(printCidr).join(',')],
      ...['-q', ports(options.includeOutboundPorts), '-o', ports(options.excludeOutboundPorts)],
      ...['-t', `${options.tproxy.mark}`, '-r', `${options.tproxy.table}`],
      ...(options.dns === 'off' ? [] : ['--redirect-dns']),
      ...(options.dns === 'all' ? ['--capture-all-dns'] : []),
      ...(options.dropInvalid ? ['--drop-invalid'] : []),
      ...(options.dualStack ? ['--dual-stack'] : []),
    ],
    env: {
      ISTIO_OUTBOUND_OWNER_GROUPS: ownerGroups === '*' ? '*' : list(ownerGroups),
      ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE: list(options.excludeOwnerGroups),
      ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR: printCidr(options.loopback),
    },
  }
}

type FlagName = (typeof FLAGS)[number]['name']
type FlagOf<Kind> = Extract<(typeof FLAGS)[number], { readonly kind: Kind }>['name']
type VariableName = (typeof ENVIRONMENT)[number][0]

/** A text and where it came from, so that a refusal can say it. */
type Said = { readonly path: string; readonly text: string; readonly isGiven: boolean }

function readSettings(
  command: Command,
  given: ReadonlyMap<string, string>,
  env: Environment,
): Read<Request> {
  const problems: Problem[] = []
  const warnings: string[] = []
  const keep = <T>(result: Read<T>, fallback: T): T => {
    if (result.ok) return result.value
    problems.push(...result.problems)
    return fallback
  }
  const text = (name: FlagName): Said => said(name, given, env)
  const on = (name: FlagOf<'switch'>): boolean => {
    const { path, text: value } = text(name)
    return keep(readSwitch(path, value), false)
  }
  const value = <T>(
    name: FlagName,
    reader: (path: string, value: string) => Read<T>,
    other: T,
  ): T => {
    const { path, text: found } = text(name)
    return keep(reader(path, found), other)
  }
  const variable = (name: VariableName): Said => {
    const row = ENVIRONMENT.find(([one]) => one === name)
    return { path: name, text: env[name] ?? row?.[1] ?? '', isGiven: env[name] !== undefined }
  }
  const ports = (name: FlagName): readonly PortRange[] => {
    const list = value(name, read.readPortList, { ranges: [], hadZero: false })
    if (list.hadZero) warnings.push(`${text(name).path}: port 0 is left out, no packet has it`)
    return list.ranges
  }

  const wantsHelp = on('help')
  const look: RuleLook = {
    profile: value('rule-profile', read.oneOf('current', '1.8'), 'current'),
    style: value('chain-style', read.oneOf('hyphen', 'underscore'), 'hyphen'),
  }
  const isV18 = look.profile === '1.8'
  const uidText = text('proxy-uid')
  const gidText = text('proxy-gid')
  const uids = uidText.text === '' ? [] : keep(read.readProxyIds(uidText.path, uidText.text), [])
  const gids = gidText.text === '' ? uids : keep(read.readProxyIds(gidText.path, gidText.text), [])
  const inboundText = text('istio-inbound-ports')
  const inbound = ['', '*'].includes(inboundText.text) ? [] : ports('istio-inbound-ports')
  const cidrReader = isV18 ? read.lenientCidrs(warnings) : readCidrFlag
  const includeText = text('istio-service-cidr')
  const included = keep(
    includeText.text === '*' ? good([]) : cidrReader(includeText.path, includeText.text),
    [],
  )
  const groups = variable('ISTIO_OUTBOUND_OWNER_GROUPS')
  const otherGroups = variable('ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE')
  const loopback = variable('ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR')
  const proxyPort = isV18 && !given.has('envoy-port') ? env['ENVOY_PORT'] : undefined
  const dns = on('redirect-dns')
  const allDns = on('capture-all-dns')
  const mode = value('istio-inbound-interception-mode', read.readMode, 'REDIRECT')

  const options: InterceptionOptions = {
    mode,
    ports: {
      outbound:
        proxyPort === undefined
          ? value('envoy-port', read.readListenPort, 0)
          : keep(read.readListenPort('ENVOY_PORT', proxyPort), 0),
      inbound: value('inbound-capture-port', read.readListenPort, 0),
      tunnel: value('inbound-tunnel-port', read.readListenPort, 0),
    },
    proxyUids: uids,
    proxyGids: gids,
    inboundPorts: inboundText.text === '' ? 'none' : inboundText.text === '*' ? '*' : inbound,
    excludeInboundPorts: ports('istio-local-exclude-ports'),
    includeOutboundCidrs: includeText.text === '*' ? '*' : included,
    excludeOutboundCidrs: value('istio-service-exclude-cidr', cidrReader, []),
    includeOutboundPorts: ports('istio-outbound-ports'),
    excludeOutboundPorts: ports('istio-local-outbound-ports-exclude'),
    excludeInterfaces: value('istio-exclude-interfaces', read.readInterfaceFlag, []),
    virtualInterfaces: value('kube-virt-interfaces', read.readInterfaceFlag, []),
    ownerGroups: keep(read.readOwnerGroups(groups.path, groups.text, LARGEST_OWNER_GROUPS), '*'),
    excludeOwnerGroups: keep(read.readOwners(otherGroups.path, otherGroups.text), []),
    loopback: keep(read.readLoopback(loopback.path, loopback.text), read.LOOPBACK_DEFAULT),
    tproxy: {
      mark: value('istio-inbound-tproxy-mark', read.readMark, 0),
      table: value('istio-inbound-tproxy-route-table', read.readRouteTable, 0),
    },
    dns: dns ? (allDns ? 'all' : 'servers') : 'off',
    dropInvalid: on('drop-invalid'),
    dualStack: on('dual-stack'),
  }
  if (options.ports.outbound !== 0 && options.ports.outbound === options.ports.inbound) {
    const want = 'another port than --envoy-port: one listener cannot take both directions'
    const { path } = text('inbound-capture-port')
    problems.push({ path, got: `${options.ports.inbound}`, want })
  }
  if (allDns && !dns) warnings.push('--capture-all-dns: no effect without --redirect-dns')
  if (isV18) warnings.push(...read.withoutEffectIn18(options))

  const netns = value('network-namespace', read.readPath, '')
  const binary = value('force-iptables-binary', read.oneOf('', 'nft', 'legacy'), '')
  const hostFacts = text('host-facts').text
  const dryRunFile = variable('DRY_RUN_FILE_PATH').text
  const digest = variable(REDIRECT_PLAN_DIGEST_ENV).text
  const run: RunOptions = {
    dryRun: on('dry-run'),
    restoreFormat: on('restore-format'),
    probePort: value('iptables-probe-port', readPortNumber, 0),
    probeTimeout: value('probe-timeout', readDuration, 0),
    skipRuleApply: on('skip-rule-apply'),
    runValidation: on('run-validation'),
    ...(netns !== '' && { networkNamespace: netns }),
    cniMode: on('cni-mode'),
    reconcile: on('reconcile'),
    cleanupOnly: on('cleanup-only'),
    forceApply: on('force-apply'),
    nativeNftables: on('native-nftables'),
    ...(binary !== '' && { forceBinary: binary }),
    ...(hostFacts !== '' && { hostFacts }),
    output: value('output', read.oneOf('text', 'json'), 'text'),
    explain: on('explain'),
    ...(dryRunFile !== '' && { dryRunFile }),
    ...(digest !== '' && { guardedPlan: { text: variable(REDIRECT_PLAN_ENV).text, digest } }),
  }
  if (isV18 && run.nativeNftables) {
    const { path } = text('native-nftables')
    problems.push({
      path,
      got: 'true',
      want: '--rule-profile current: release 1.8 knew no nftables',
    })
  }
  on('log_as_json')

  const traced = TRACE_FLAGS.flatMap(({ name, default: byDefault }): [string, string][] => {
    const found = given.get(name) ?? byDefault
    return command === 'trace' && found !== '' ? [[name, found]] : []
  })
  const request: Request = {
    command,
    wantsHelp,
    options,
    ...(uidText.text === '' && { proxyUser: variable('ENVOY_USER').text }),
    gidsFollowUids: gidText.text === '',
    look,
    run,
    trace: Object.fromEntries(traced),
    warnings,
  }
  return problems.length === 0 || wantsHelp ? good(request) : { ok: false, problems }
}

function said(name: FlagName, given: ReadonlyMap<string, string>, env: Environment): Said {
  const text = given.get(name)
  if (text !== undefined) return { path: `--${name}`, text, isGiven: true }
  const flag: Flag | undefined = FLAGS.find((one) => one.name === name)
  const variable = [...(flag?.env ?? [])].reverse().find((one) => env[one] !== undefined)
  if (variable !== undefined) return { path: variable, text: env[variable] ?? '', isGiven: true }
  return { path: `--${name}`, text: flag?.default ?? '', isGiven: false }
}
