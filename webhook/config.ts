import type { ConfigMapPlace } from '../cluster/config-maps.ts'
import type { ConnectFlags } from '../cluster/connect.ts'
import { readNativeMode, type NativeMode } from '../core/inject/native.ts'
import { ISTIO_VERSIONS, type IstioVersion } from '../core/inject/values.ts'
import type { Problem, Read } from '../core/problem.ts'
import { readCertificateFlags, type CertificateChoice } from './certificate-flags.ts'
import { clusterOf, placesOf, refuseClusterFlags } from './cluster-flags.ts'
import { LIMITS, type Limits } from './limits.ts'
import { LOG_LEVELS } from './logging.ts'
import type { Outlets } from './outlets.ts'
import type { ConfigFiles } from './source.ts'

/** The flags as commander hands them over, all texts. */
export type Flags = {
  readonly port?: string
  readonly address?: string
  readonly tlsCertFile?: string
  readonly tlsKeyFile?: string
  readonly caFile?: string
  readonly selfSigned?: true
  readonly ownCaSecret?: string | true
  readonly caRotationDelay?: string
  readonly leaseDuration?: string
  readonly service?: string
  readonly clientCaFile?: string
  readonly clientName?: string
  readonly meshConfigFile?: string
  readonly valuesFile?: string
  readonly valuesOverlayFile?: string
  readonly injectConfigFile?: string
  readonly namespacesFile?: string
  readonly configFromCluster?: true
  readonly kubeconfig?: string
  readonly context?: string
  readonly istioNamespace?: string
  readonly meshConfigMapName?: string
  readonly injectConfigMapName?: string
  readonly revision?: string
  readonly istioVersion?: string
  readonly monitoringPort?: string
  readonly drainDelay?: string
  readonly maxRequests?: string
  readonly maxConnections?: string
  readonly maxBodyMemory?: string
  readonly events?: string
  readonly warnings?: string
  readonly auditAnnotations?: string
  readonly podSecurityWarnings?: string
  readonly stencils?: string
  readonly logLevel?: string
}

/** Everything that the webhook is started with. */
export type Config = CertificateChoice & {
  /** TCP port, 0 for any that is free. */
  readonly port: number
  readonly monitoringPort: number
  /** Address to listen on; undefined for all of this machine's. */
  readonly address: string | undefined
  readonly files: ConfigFiles
  /** ConfigMaps that say what no file says; undefined where the configuration is in files alone. */
  readonly configMaps: readonly ConfigMapPlace[] | undefined
  /** How to reach a cluster; undefined where nothing needs one. */
  readonly cluster: ConnectFlags | undefined
  readonly namespacesFile: string | undefined
  /** Where this runs: namespace of the Service, and of what is kept in a cluster. */
  readonly podNamespace: string
  /** Empty for the default revision. */
  readonly revision: string
  readonly istioVersion: IstioVersion
  readonly nativeMode: NativeMode
  readonly platform: string
  readonly compliancePolicy: string
  /** Milliseconds between the moment when readiness goes and the one when the port closes. */
  readonly drainMs: number
  /** How much may be under way. */
  readonly limits: Pick<Limits, 'requests' | 'connections' | 'heldBytes'>
  /** Whether Events are written; there is a cluster then. */
  readonly hasEvents: boolean
  /** What answers tell besides the verdict. */
  readonly outlets: Outlets
  /** Whether namespaces are watched for levels of PodSecurity that will refuse injected pods. */
  readonly hasPodSecurityWarnings: boolean
  /** Whether pods of a shape that was met are answered from its stencil. */
  readonly hasStencils: boolean
  readonly logLevel: string
}

/** Reads flags and environment; all that is wrong is reported together. */
export function readConfig(
  flags: Flags,
  env: Readonly<Record<string, string | undefined>>,
): Read<Config> {
  const problems: Problem[] = refuseClusterFlags(flags)
  const keep = <T>(read: Read<T>, otherwise: T): T => {
    if (read.ok) return read.value
    problems.push(...read.problems)
    return otherwise
  }
  const port = keep(readNumber('--port', flags.port ?? '15017', MOST_PORT), 0)
  const monitoringPort = keep(
    readNumber('--monitoring-port', flags.monitoringPort ?? '15014', MOST_PORT),
    0,
  )
  const seconds = keep(readNumber('--drain-delay', flags.drainDelay ?? '0', MOST_SECONDS), 0)
  const limit = (flag: string, text: string | undefined, otherwise: number): number =>
    keep(readNumber(flag, text ?? String(otherwise), MOST_LIMIT, 1), 1)
  const limits = {
    requests: limit('--max-requests', flags.maxRequests, LIMITS.requests),
    connections: limit('--max-connections', flags.maxConnections, LIMITS.connections),
    heldBytes: MIB * limit('--max-body-memory', flags.maxBodyMemory, LIMITS.heldBytes / MIB),
  }
  const cluster = clusterOf(flags)
  const events = keep(
    readWord('--events', flags.events ?? String(cluster !== undefined), BOOLEANS),
    'false',
  )
  const isOn = (flag: string, text: string | undefined): boolean =>
    keep(readWord(flag, text ?? 'true', BOOLEANS), 'true') === 'true'
  const outlets = {
    warnings: isOn('--warnings', flags.warnings),
    audit: isOn('--audit-annotations', flags.auditAnnotations),
  }
  const hasStencils = isOn('--stencils', flags.stencils)
  const hints = keep(
    readWord('--pod-security-warnings', flags.podSecurityWarnings ?? 'false', BOOLEANS),
    'false',
  )
  if (hints === 'true' && flags.configFromCluster !== true) {
    const want = 'false without --config-from-cluster'
    problems.push({ path: '--pod-security-warnings', got: 'true', want })
  }
  const logLevel = keep(readWord('--log-level', flags.logLevel ?? 'info', LOG_LEVELS), 'info')
  const istioVersion = keep(
    readWord('--istio-version', flags.istioVersion ?? 'current', ISTIO_VERSIONS),
    'current',
  )
  const native = env['ENABLE_NATIVE_SIDECARS'] ?? ''
  const word = keep(readWord('ENABLE_NATIVE_SIDECARS', native || 'auto', NATIVE), 'auto')
  const address = flags.address === 'localhost' ? '127.0.0.1' : flags.address
  const podNamespace = env['POD_NAMESPACE'] ?? POD_NAMESPACE
  const certificate = readCertificateFlags(
    { ...flags, ...(address === undefined ? {} : { address }) },
    podNamespace,
  )
  if (!certificate.ok) problems.push(...certificate.problems)
  if (!certificate.ok || problems.length > 0) return { ok: false, problems }
  return {
    ok: true,
    value: {
      port,
      monitoringPort,
      address,
      ...certificate.value,
      files: {
        ...(flags.meshConfigFile === undefined ? {} : { mesh: flags.meshConfigFile }),
        ...(flags.valuesFile === undefined ? {} : { values: flags.valuesFile }),
        ...(flags.injectConfigFile === undefined ? {} : { injectConfig: flags.injectConfigFile }),
        ...(flags.valuesOverlayFile === undefined
          ? {}
          : { valuesOverlay: flags.valuesOverlayFile }),
      },
      configMaps: placesOf(flags, env['POD_NAMESPACE']),
      cluster,
      namespacesFile: flags.namespacesFile,
      podNamespace,
      revision: flags.revision ?? '',
      istioVersion,
      nativeMode: readNativeMode(word),
      platform: env['PLATFORM'] ?? '',
      compliancePolicy: env['COMPLIANCE_POLICY'] ?? '',
      drainMs: seconds * 1000,
      limits,
      hasEvents: events === 'true',
      outlets,
      hasPodSecurityWarnings: hints === 'true',
      hasStencils,
      logLevel,
    },
  }
}

/** Where this runs, where nothing says otherwise. */
const POD_NAMESPACE = 'istio-system'

const MOST_PORT = 65_535
const MOST_SECONDS = 3600
const MOST_LIMIT = 99_999
const MIB = 1024 * 1024
const BOOLEANS = ['true', 'false'] as const
const NATIVE = ['true', 'false', 'auto'] as const

function readNumber(path: string, text: string, most: number, least = 0): Read<number> {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : -1
  if (number >= least && number <= most) return { ok: true, value: number }
  const want = `a whole number from ${String(least)} to ${String(most)}`
  return { ok: false, problems: [{ path, got: text, want }] }
}

function readWord<T extends string>(path: string, text: string, words: readonly T[]): Read<T> {
  const word = words.find((one) => one === text)
  if (word !== undefined) return { ok: true, value: word }
  return { ok: false, problems: [{ path, got: text, want: `one of ${words.join(', ')}` }] }
}
