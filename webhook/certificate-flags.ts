/** The flags that say what is served, who is told to trust it, and who may call. */
import type { Problem, Read } from '../core/problem.ts'
import type { Flags } from './config.ts'
import { hostsOf } from './tls/authority.ts'
import type { ClientCheck } from './tls/clients.ts'
import type { KeyPairFiles } from './tls/reload.ts'

/** Where the served certificate comes from. */
export type CertificateSource =
  | {
      readonly from: 'files'
      readonly files: KeyPairFiles
      /** What the leader publishes as caBundle, PEM; undefined where somebody else does it. */
      readonly caFile: string | undefined
    }
  | {
      readonly from: 'own-ca'
      /** DNS names and addresses in the certificate. */
      readonly hosts: readonly string[]
      /** Where to write the CA for those who call. */
      readonly caFile: string | undefined
    }
  | {
      readonly from: 'secret'
      readonly name: string
      readonly hosts: readonly string[]
      /** Milliseconds in which every API server sees a new bundle. */
      readonly delayMs: number
    }

/** The Lease of those who may write in the cluster. */
export type LeaseChoice = { readonly name: string; readonly seconds: number }

/** What these flags come to. */
export type CertificateChoice = {
  readonly certificate: CertificateSource
  /** Undefined where nothing is written that needs a leader. */
  readonly lease: LeaseChoice | undefined
  /** Undefined where everybody may call. */
  readonly clients: ClientCheck | undefined
}

/** Name of the Service in front of the webhook, where nothing says otherwise. */
const SERVICE = 'sidecar-injector'

const ROTATION_SECONDS = '60'
const LEASE_SECONDS = '15'
const MOST_SECONDS = 3600

/** Whether something is written in a cluster: the own CA, or the caBundle. */
export function writesInCluster({ ownCaSecret, caFile, selfSigned }: Flags): boolean {
  return ownCaSecret !== undefined || (caFile !== undefined && selfSigned !== true)
}

/** Reads the flags; `podNamespace` is that of the Service. */
export function readCertificateFlags(flags: Flags, podNamespace: string): Read<CertificateChoice> {
  const problems: Problem[] = []
  const seconds = (path: string, text: string): number => {
    const number = /^\d{1,4}$/.test(text) ? Number(text) : 0
    if (number < 1 || number > MOST_SECONDS) {
      problems.push({ path, got: text, want: `whole seconds from 1 to ${MOST_SECONDS}` })
    }
    return number
  }
  const rotation = seconds('--ca-rotation-delay', flags.caRotationDelay ?? ROTATION_SECONDS)
  const lease = seconds('--lease-duration', flags.leaseDuration ?? LEASE_SECONDS)
  const certificate = readSource(flags, namesOf(flags, podNamespace), rotation * 1000)
  const { clientCaFile, clientName, leaseDuration, caRotationDelay, ownCaSecret } = flags
  if (leaseDuration !== undefined && !writesInCluster(flags)) {
    const want = '--own-ca-secret or --ca-file with it: nothing else needs a leader'
    problems.push({ path: '--lease-duration', got: leaseDuration, want })
  }
  if (caRotationDelay !== undefined && ownCaSecret === undefined) {
    const want = '--own-ca-secret with it'
    problems.push({ path: '--ca-rotation-delay', got: caRotationDelay, want })
  }
  if (clientName !== undefined && clientCaFile === undefined) {
    problems.push({ path: '--client-name', got: clientName, want: '--client-ca-file with it' })
  }
  if (!certificate.ok) problems.push(...certificate.problems)
  if (!certificate.ok || problems.length > 0) return { ok: false, problems }
  const name = named(SERVICE, flags)
  return {
    ok: true,
    value: {
      certificate: certificate.value,
      lease: writesInCluster(flags) ? { name, seconds: lease } : undefined,
      clients:
        clientCaFile === undefined
          ? undefined
          : { file: clientCaFile, names: listOf(clientName ?? '') },
    },
  }
}

function readSource(
  flags: Flags,
  hosts: readonly string[],
  delayMs: number,
): Read<CertificateSource> {
  const { tlsCertFile: cert, tlsKeyFile: key, caFile, selfSigned, ownCaSecret } = flags
  const problems: Problem[] = []
  const refuse = (path: string, got: string | undefined, want: string): void => {
    if (got !== undefined) problems.push({ path, got, want })
  }
  if (ownCaSecret !== undefined) {
    const want = 'this flag or --own-ca-secret'
    refuse('--tls-cert-file', cert, want)
    refuse('--tls-key-file', key, want)
    refuse('--ca-file', caFile, want)
    refuse('--self-signed', selfSigned === true ? '' : undefined, want)
    if (problems.length > 0) return { ok: false, problems }
    const name = ownCaSecret === true ? named(`${SERVICE}-ca`, flags) : ownCaSecret
    return { ok: true, value: { from: 'secret', name, hosts, delayMs } }
  }
  if (selfSigned === true) {
    refuse('--tls-cert-file', cert, 'this flag or --self-signed')
    refuse('--tls-key-file', key, 'this flag or --self-signed')
    if (problems.length > 0) return { ok: false, problems }
    return { ok: true, value: { from: 'own-ca', hosts, caFile } }
  }
  const otherwise = 'a file, or --self-signed or --own-ca-secret instead'
  if (cert === undefined) refuse('--tls-cert-file', '', otherwise)
  if (key === undefined) refuse('--tls-key-file', '', otherwise)
  if (cert === undefined || key === undefined) return { ok: false, problems }
  return { ok: true, value: { from: 'files', files: { cert, key }, caFile } }
}

/** Names that the webhook is called by: this machine, its address, and the Service in a cluster. */
function namesOf({ address, service = SERVICE }: Flags, namespace: string): readonly string[] {
  const names = hostsOf(service, namespace)
  const isOne = address !== undefined && address !== '0.0.0.0' && address !== '::'
  return isOne && !names.includes(address) ? [...names, address] : names
}

/** The names of objects end with the revision that is not the default one. */
function named(name: string, { revision = '' }: Flags): string {
  return revision === '' ? name : `${name}-${revision}`
}

function listOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}
