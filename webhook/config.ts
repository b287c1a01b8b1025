import type { IstioVersion } from '../core/inject/values.ts'
import type { Problem, Read } from '../core/problem.ts'
import { LOG_LEVELS } from './logging.ts'
import type { ConfigFiles } from './source.ts'
import { hostsOf } from './tls/authority.ts'
import type { KeyPairFiles } from './tls/reload.ts'

/** The flags as commander hands them over, all texts. */
export type Flags = {
  readonly port?: string
  readonly address?: string
  readonly tlsCertFile?: string
  readonly tlsKeyFile?: string
  readonly caFile?: string
  readonly selfSigned?: true
  readonly meshConfigFile?: string
  readonly valuesFile?: string
  readonly injectConfigFile?: string
  readonly namespacesFile?: string
  readonly configFromCluster?: true
  readonly kubeconfig?: string
  readonly revision?: string
  readonly istioVersion?: string
  readonly monitoringPort?: string
  readonly drainDelay?: string
  readonly logLevel?: string
}

/** Everything that the webhook is started with. */
export type Config = {
  /** TCP port, 0 for any that is free. */
  readonly port: number
  readonly monitoringPort: number
  /** Address to listen on; undefined for all of this machine's. */
  readonly address: string | undefined
  readonly certificate: CertificateSource
  readonly files: ConfigFiles
  readonly namespacesFile: string | undefined
  /** Empty for the default revision. */
  readonly revision: string
  readonly istioVersion: IstioVersion
  readonly nativeSidecars: boolean
  readonly platform: string
  readonly compliancePolicy: string
  /** Milliseconds between the moment when readiness goes and the one when the port closes. */
  readonly drainMs: number
  readonly logLevel: string
}

/** Where the served certificate comes from. */
export type CertificateSource =
  | { readonly from: 'files'; readonly files: KeyPairFiles }
  | {
      readonly from: 'own-ca'
      /** DNS names and addresses in the certificate. */
      readonly hosts: readonly string[]
      /** Where to write the CA for those who call. */
      readonly caFile: string | undefined
    }

const ISTIO_VERSIONS: readonly IstioVersion[] = ['current', '1.17', '1.8']

/** Names of the Service in front of the webhook, where nothing says otherwise. */
const SERVICE = 'sidecar-injector'
const SERVICE_NAMESPACE = 'istio-system'

/** Reads flags and environment; all that is wrong is reported together. */
export function readConfig(
  flags: Flags,
  env: Readonly<Record<string, string | undefined>>,
): Read<Config> {
  const problems: Problem[] = refuseCluster(flags)
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
  const logLevel = keep(readWord('--log-level', flags.logLevel ?? 'info', LOG_LEVELS), 'info')
  const istioVersion = keep(
    readWord('--istio-version', flags.istioVersion ?? 'current', ISTIO_VERSIONS),
    'current',
  )
  const native = env['ENABLE_NATIVE_SIDECARS'] ?? ''
  const word = keep(readWord('ENABLE_NATIVE_SIDECARS', native || 'auto', NATIVE), 'auto')
  const address = flags.address === 'localhost' ? '127.0.0.1' : flags.address
  const certificate = readCertificate(flags, hosts(address, env['POD_NAMESPACE']))
  if (!certificate.ok) problems.push(...certificate.problems)
  if (!certificate.ok || problems.length > 0) return { ok: false, problems }
  return {
    ok: true,
    value: {
      port,
      monitoringPort,
      address,
      certificate: certificate.value,
      files: {
        ...(flags.meshConfigFile === undefined ? {} : { mesh: flags.meshConfigFile }),
        ...(flags.valuesFile === undefined ? {} : { values: flags.valuesFile }),
        ...(flags.injectConfigFile === undefined ? {} : { injectConfig: flags.injectConfigFile }),
      },
      namespacesFile: flags.namespacesFile,
      revision: flags.revision ?? '',
      istioVersion,
      // Without a cluster no node is known, and a node that is not known may be too old.
      nativeSidecars: word === 'true',
      platform: env['PLATFORM'] ?? '',
      compliancePolicy: env['COMPLIANCE_POLICY'] ?? '',
      drainMs: seconds * 1000,
      logLevel,
    },
  }
}

const MOST_PORT = 65_535
const MOST_SECONDS = 3600
const NATIVE = ['true', 'false', 'auto'] as const

function readNumber(path: string, text: string, most: number): Read<number> {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : -1
  if (number >= 0 && number <= most) return { ok: true, value: number }
  const want = `a whole number from 0 to ${String(most)}`
  return { ok: false, problems: [{ path, got: text, want }] }
}

function readWord<T extends string>(path: string, text: string, words: readonly T[]): Read<T> {
  const word = words.find((one) => one === text)
  if (word !== undefined) return { ok: true, value: word }
  return { ok: false, problems: [{ path, got: text, want: `one of ${words.join(', ')}` }] }
}

function readCertificate(flags: Flags, names: readonly string[]): Read<CertificateSource> {
  const { tlsCertFile: cert, tlsKeyFile: key, caFile, selfSigned } = flags
  const problems: Problem[] = []
  const refuse = (path: string, got: string, want: string): void => {
    problems.push({ path, got, want })
  }
  if (selfSigned === true) {
    if (cert !== undefined) refuse('--tls-cert-file', cert, 'this flag or --self-signed')
    if (key !== undefined) refuse('--tls-key-file', key, 'this flag or --self-signed')
    if (problems.length > 0) return { ok: false, problems }
    return { ok: true, value: { from: 'own-ca', hosts: names, caFile } }
  }
  if (caFile !== undefined) {
    refuse('--ca-file', caFile, '--self-signed with it: the caBundle is not written yet')
  }
  if (cert === undefined) refuse('--tls-cert-file', '', 'a file, or --self-signed instead')
  if (key === undefined) refuse('--tls-key-file', '', 'a file, or --self-signed instead')
  if (problems.length > 0 || cert === undefined || key === undefined) return { ok: false, problems }
  return { ok: true, value: { from: 'files', files: { cert, key } } }
}

function hosts(address: string | undefined, namespace: string | undefined): readonly string[] {
  const names = hostsOf(SERVICE, namespace ?? SERVICE_NAMESPACE)
  const isOne = address !== undefined && address !== '0.0.0.0' && address !== '::'
  return isOne && !names.includes(address) ? [...names, address] : names
}

/** Flags that name a cluster, which the webhook does not read yet: better refused than ignored. */
function refuseCluster(flags: Flags): Problem[] {
  const want = '--meshConfigFile, --valuesFile and --injectConfigFile: a cluster is not read yet'
  return [
    ...(flags.configFromCluster === true ? [{ path: '--config-from-cluster', got: '', want }] : []),
    ...(flags.kubeconfig === undefined
      ? []
      : [{ path: '--kubeconfig', got: flags.kubeconfig, want }]),
  ]
}
