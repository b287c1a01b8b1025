import {
  PROBE_PORT,
  PROXY_USER,
  REDIRECT_PLAN_DIGEST_ENV,
  REDIRECT_PLAN_ENV,
} from '../constants.ts'

/** What a flag's text is: how it is read, and whether it may stand without a value. */
export type FlagKind = 'text' | 'switch' | 'port-number' | 'duration'

/** One setting of `istio-iptables`: its spellings, its default and its meaning. */
export type Flag = {
  readonly name: string
  readonly short?: string
  /** Environment names, weakest first. A flag wins over all of them. */
  readonly env?: readonly string[]
  readonly kind: FlagKind
  readonly default?: string
  readonly help: string
  /** Accepted for the sake of existing manifests, without effect. */
  readonly ignored?: true
}

/** Every flag, in the order of the help. Reference page and help are printed from here. */
export const FLAGS = [
  row('envoy-port', 'p', 'text', '15001', 'port where the proxy takes outbound connections', []),
  row(
    'inbound-capture-port',
    'z',
    'text',
    '15006',
    'port where the proxy takes inbound connections',
  ),
  row(
    'inbound-tunnel-port',
    'e',
    'text',
    '15008',
    'port of the proxy for HBONE tunnels, never captured',
  ),
  row('proxy-uid', 'u', 'text', '', 'users that are the proxy, list of ids or names'),
  row(
    'proxy-gid',
    'g',
    'text',
    '',
    'groups that are the proxy, list; default the text of the users',
  ),
  row('istio-inbound-interception-mode', 'm', 'text', '', 'REDIRECT or TPROXY'),
  row('istio-inbound-ports', 'b', 'text', '', 'inbound ports to capture, list with ranges, or *'),
  row(
    'istio-local-exclude-ports',
    'd',
    'text',
    '',
    'inbound ports to leave alone when all are captured',
  ),
  row('istio-exclude-interfaces', 'c', 'text', '', 'interfaces to leave alone, list'),
  row('istio-service-cidr', 'i', 'text', '', 'outbound address ranges to capture, list, or *'),
  row(
    'istio-service-exclude-cidr',
    'x',
    'text',
    '',
    'outbound address ranges to leave alone, list',
  ),
  row('istio-outbound-ports', 'q', 'text', '', 'outbound ports to capture whatever the address'),
  row('istio-local-outbound-ports-exclude', 'o', 'text', '', 'outbound ports to leave alone'),
  row(
    'kube-virt-interfaces',
    'k',
    'text',
    '',
    'interfaces whose inbound traffic counts as outbound',
  ),
  row('istio-inbound-tproxy-mark', 't', 'text', '1337', 'firewall mark of TPROXY mode'),
  row('istio-inbound-tproxy-route-table', 'r', 'text', '133', 'routing table of TPROXY mode'),
  row('dry-run', 'n', 'switch', 'false', 'print what would be done and run nothing'),
  row('restore-format', 'f', 'switch', 'true', 'print restore text; false: one command a line', []),
  row(
    'iptables-probe-port',
    undefined,
    'port-number',
    String(PROBE_PORT),
    'port that the validation probe dials',
  ),
  row(
    'probe-timeout',
    undefined,
    'duration',
    '5s',
    'how long the validation may take, such as 5s or 1m30s',
  ),
  row('skip-rule-apply', undefined, 'switch', 'false', 'write no rules'),
  row('run-validation', undefined, 'switch', 'false', 'check with connections that the rules work'),
  row('redirect-dns', undefined, 'switch', 'false', 'capture DNS to the resolvers of the pod', [
    'REDIRECT_DNS',
    'ISTIO_META_DNS_CAPTURE',
  ]),
  row('drop-invalid', undefined, 'switch', 'false', 'drop packets that conntrack calls invalid', [
    'DROP_INVALID',
    'INVALID_DROP',
  ]),
  row('dual-stack', undefined, 'switch', 'false', 'IPv6 rules also where there is IPv4', [
    'DUAL_STACK',
    'ISTIO_DUAL_STACK',
  ]),
  row('capture-all-dns', undefined, 'switch', 'false', 'with --redirect-dns: all of port 53'),
  row('network-namespace', undefined, 'text', '', 'path of a network namespace to work in'),
  row('cni-mode', undefined, 'switch', 'false', 'run on behalf of a CNI plugin'),
  row('reconcile', undefined, 'switch', 'false', 'repair rules that differ from what is wanted'),
  row('cleanup-only', undefined, 'switch', 'false', 'remove our rules, routes and addresses'),
  row(
    'force-apply',
    undefined,
    'switch',
    'false',
    'write the rules even if they are there already',
  ),
  row('native-nftables', undefined, 'switch', 'false', 'use nft and tables of our own'),
  row(
    'force-iptables-binary',
    undefined,
    'text',
    '',
    'nft or legacy; default: whichever is in use',
  ),
  row(
    'rule-profile',
    undefined,
    'text',
    'current',
    'current, or 1.8 for the rules of that release',
    ['ISTIO_RULE_PROFILE'],
  ),
  row(
    'chain-style',
    undefined,
    'text',
    'hyphen',
    'chain names ISTIO-X (hyphen) or ISTIO_X (underscore)',
    ['ISTIO_CHAIN_STYLE'],
  ),
  row('host-facts', undefined, 'text', '', 'JSON file with addresses, resolv_conf and users', []),
  row('output', undefined, 'text', 'text', 'text or json', []),
  row('explain', undefined, 'switch', 'false', 'print every rule with its reason', []),
  row('help', 'h', 'switch', 'false', 'print this help', []),
  quiet('log_output_level', 'text'),
  quiet('log_as_json', 'switch'),
  quiet('log_target', 'text'),
  quiet('log_caller', 'text'),
  quiet('log_stacktrace_level', 'text'),
  quiet('log_rotate', 'text'),
  quiet('log_rotate_max_age', 'text'),
  quiet('log_rotate_max_backups', 'text'),
  quiet('log_rotate_max_size', 'text'),
  quiet('vklog', 'text'),
] as const satisfies readonly Flag[]

/** Settings that have an environment name only: name, default, meaning. */
export const ENVIRONMENT = [
  ['ISTIO_OUTBOUND_OWNER_GROUPS', '*', 'groups whose outbound traffic is captured, list, or *'],
  ['ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE', '', 'groups whose outbound traffic is left alone, list'],
  ['ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR', '127.0.0.1/32', 'IPv4 range that counts as loopback'],
  ['ENVOY_USER', PROXY_USER, 'user whose uid is the default of --proxy-uid'],
  ['DRY_RUN_FILE_PATH', '', 'file that a dry run writes its text to as well'],
  [REDIRECT_PLAN_ENV, '', 'with --run-validation: the redirect plan that the pod carries now'],
  [
    REDIRECT_PLAN_DIGEST_ENV,
    '',
    'SHA-256 that the plan must have, in hexadecimal; empty: any plan',
  ],
] as const

/** Flags of the `trace` command besides those that say which rules. */
export const TRACE_FLAGS = [
  row('from', undefined, 'text', '', 'source, ADDRESS:PORT', []),
  row('to', undefined, 'text', '', 'destination, ADDRESS:PORT', []),
  row('protocol', undefined, 'text', 'tcp', 'tcp or udp', []),
  row('uid', undefined, 'text', '', 'user id of the sending process', []),
  row('gid', undefined, 'text', '', 'group id of the sending process', []),
  row('in', undefined, 'text', '', 'interface the packet comes in by: it is from outside', []),
  row('out', undefined, 'text', '', 'interface the packet leaves by: it is from this pod', []),
  row(
    'rules',
    undefined,
    'text',
    '',
    'file with restore text, saved rules, a listing or nft text',
    [],
  ),
  row('live', undefined, 'switch', 'false', 'trace the rules in the kernel', []),
] as const satisfies readonly Flag[]

function row<const Name extends string, const Kind extends FlagKind>(
  name: Name,
  short: string | undefined,
  kind: Kind,
  byDefault: string,
  help: string,
  env: readonly string[] = [name.toUpperCase().replaceAll('-', '_')],
) {
  return {
    name,
    kind,
    default: byDefault,
    help,
    env,
    ...(short !== undefined && { short }),
  } as const
}

function quiet<const Name extends string, const Kind extends FlagKind>(name: Name, kind: Kind) {
  return { name, kind, help: 'accepted without effect', ignored: true } as const
}
