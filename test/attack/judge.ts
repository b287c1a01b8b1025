/**
 * What an attack got: looked for in the injected pod without asking the fence or the templates. Everything
 * that no text of a pod may bring is compared with a plain pod injected by the same configuration.
 */
import type { Container, Pod, SecurityContext, Volume, VolumeMount } from '../../core/k8s.ts'

const BROUGHT = ['istio-init', 'istio-validation', 'istio-proxy', 'grpc-bootstrap-init']
/** What Istio's annotations may add to the proxy or to the rules. */
const CAPABILITIES = ['NET_ADMIN', 'NET_RAW', 'NET_BIND_SERVICE']
/** Variables whose value must be the plain pod's. */
const TRUST = [
  ...['CA_ADDR', 'PILOT_CERT_PROVIDER', 'TRUST_DOMAIN', 'POD_NAMESPACE', 'SERVICE_ACCOUNT'],
  ...['CA_ROOT_CA', 'XDS_ROOT_CA', 'ISTIOD_SAN', 'JWT_POLICY', 'CA_PROVIDER', 'TOKEN_AUDIENCES'],
]
/** The first words of the arguments of the init container, by position or by flag. */
const INIT_FLAGS = /^(?:istio-iptables|-[pzumibxdoqck]|--log_output_level=[^]*)$/
const PROXY_FLAGS =
  /^(?:proxy|sidecar|router|--domain|--serviceCluster|--concurrency|--(?:proxyLogLevel|proxyComponentLogLevel|log_output_level)=[^]*)$/

/** Everything that `after` has and neither `before`, its author's own pod, nor `plain` gives it. */
export function loot(before: Pod, after: Pod, plain: Pod): readonly string[] {
  const own = all(before)
  const found: string[] = []
  const names = all(after).map(({ name }) => name)
  const expected = [...own.map(({ name }) => name), ...BROUGHT]
  found.push(...names.filter((name) => !expected.includes(name)).map((name) => `container ${name}`))
  if (new Set(names).size < names.length) found.push(`containers twice: ${names.join()}`)
  for (const { name } of own) if (!names.includes(name)) found.push(`container ${name} is gone`)
  for (const container of all(after)) {
    const mine = own.find(({ name }) => name === container.name)
    const usual =
      all(plain).find(({ name }) => name === container.name) ??
      (mine === undefined ? undefined : all(plain).find(({ name }) => name === 'app'))
    found.push(...lootIn(container, mine, usual).map((what) => `${container.name}: ${what}`))
  }
  found.push(...volumes(before, after, plain))
  for (const [key, value] of Object.entries(after.spec ?? {})) {
    if (['containers', 'initContainers', 'volumes'].includes(key)) continue
    const was: unknown = (before.spec as Record<string, unknown> | undefined)?.[key]
    const usual: unknown = (plain.spec as Record<string, unknown> | undefined)?.[key]
    if (!same(value, was) && !same(value, usual))
      found.push(`spec.${key}: ${JSON.stringify(value)}`)
  }
  if (({} as Record<string, unknown>)['polluted'] !== undefined) found.push('prototype')
  return found
}

function all(pod: Pod): readonly Container[] {
  return [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]
}

function lootIn(
  container: Container,
  own: Container | undefined,
  usual: Container | undefined,
): readonly string[] {
  const found: string[] = []
  const { securityContext = {}, volumeMounts = [], ports = [] } = container
  found.push(...powers(securityContext, own?.securityContext))
  const mounts = [...(own?.volumeMounts ?? []), ...(usual?.volumeMounts ?? []), ...USER_MOUNTS]
  for (const mount of volumeMounts) {
    if (!mounts.some((each) => same(each, mount))) found.push(`mount ${JSON.stringify(mount)}`)
  }
  for (const { hostPort } of ports) {
    if (hostPort !== undefined && !own?.ports?.some((port) => port.hostPort === hostPort)) {
      found.push(`hostPort ${hostPort}`)
    }
  }
  if (own !== undefined) {
    for (const field of [
      'image',
      'command',
      'args',
      'workingDir',
      'envFrom',
      'resources',
    ] as const) {
      if (container.name === 'istio-proxy') continue
      if (!same(container[field], own[field])) found.push(`${field} of the pod's own container`)
    }
    return found
  }
  if (container.command !== undefined && usual?.command === undefined) found.push('command')
  found.push(...args(container))
  for (const name of TRUST) {
    const now = container.env?.filter((item) => item.name === name)
    const was = usual?.env?.filter((item) => item.name === name)
    if (!same(now ?? [], was ?? [])) found.push(`${name}: ${JSON.stringify(now)}`)
  }
  return found
}

function powers(now: SecurityContext, own: SecurityContext | undefined): readonly string[] {
  const found: string[] = []
  if (now.privileged === true && own?.privileged !== true) found.push('privileged')
  for (const name of now.capabilities?.add ?? []) {
    const isOwn = own?.capabilities?.add?.includes(name) === true
    if (!isOwn && !CAPABILITIES.includes(name)) found.push(`capability ${name}`)
  }
  return found
}

/** Arguments stand where they stand in every pod; each text of a user is one of them, or behind a flag. */
function args({ name, args: given = [] }: Container): readonly string[] {
  if (name === 'istio-proxy') {
    return given
      .filter(
        (_, index) => !/^--(?:domain|serviceCluster|concurrency)$/.test(given[index - 1] ?? ''),
      )
      .filter((arg) => !PROXY_FLAGS.test(arg))
      .map((arg) => `argument ${arg}`)
  }
  if (name !== 'istio-init' && name !== 'istio-validation') return []
  const known = given.filter((arg) => !/^--(?:run-validation|skip-rule-apply)$/.test(arg))
  return known
    .filter((arg, index) =>
      INIT_FLAGS.test(arg) ? false : !/^-[a-z]$/.test(known[index - 1] ?? ''),
    )
    .map((arg) => `argument ${arg}`)
}

function volumes(before: Pod, after: Pod, plain: Pod): readonly string[] {
  const found: string[] = []
  const known = [before, plain].flatMap((pod) => pod.spec?.volumes ?? [])
  for (const volume of after.spec?.volumes ?? []) {
    const own = before.spec?.volumes?.some(({ name }) => name === volume.name) === true
    if (volume.hostPath !== undefined && !own) found.push(`hostPath ${volume.hostPath.path}`)
    const isKnown = known.some(({ name }) => name === volume.name)
    if (!isKnown && !isAskedFor(volume, before)) found.push(`volume ${volume.name}`)
  }
  return found
}

/** What the annotations that are there for it may bring: every attack uses these names. */
const USER_MOUNTS: readonly VolumeMount[] = [
  { name: 'asked', mountPath: '/asked' },
  { name: 'custom-bootstrap-volume', mountPath: '/etc/istio/custom-bootstrap' },
]

function isAskedFor({ name, configMap }: Volume, { metadata }: Pod): boolean {
  if (name === 'custom-bootstrap-volume') return configMap !== undefined
  const asked = JSON.parse(metadata?.annotations?.['sidecar.istio.io/userVolume'] ?? '{}') as object
  return Object.hasOwn(asked, name)
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
