/** Configurations and requests for tests, built as the doors build them. */
import { createHash } from 'node:crypto'
import {
  readInjectConfig,
  type ConfigSources,
  type InjectConfig,
} from '../../core/inject/config.ts'
import type { InjectRequest } from '../../core/inject/decision.ts'
import { ownerOf } from '../../core/inject/owner.ts'
import { isObject, type Json } from '../../core/json.ts'
import { formatProblem } from '../../core/problem.ts'

/** SHA-256 in hexadecimal, as the doors hand it to core. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** The built-in configuration with texts laid over it; throws when it is refused. */
export function configOf(texts: {
  readonly values?: string
  readonly mesh?: string
  readonly injectConfig?: string
  readonly istioVersion?: ConfigSources['istioVersion']
  readonly revision?: string
  readonly compliancePolicy?: string
  readonly platform?: string
}): InjectConfig {
  const source = (path: string, text: string | undefined) =>
    text === undefined ? {} : { [path]: { path, text } }
  const read = readInjectConfig({
    ...source('values', texts.values),
    ...source('mesh', texts.mesh),
    ...source('injectConfig', texts.injectConfig),
    istioVersion: texts.istioVersion ?? 'current',
    revision: texts.revision ?? '',
    compliancePolicy: texts.compliancePolicy ?? '',
    platform: texts.platform ?? '',
    digest,
  })
  if (!read.ok) throw new Error(read.problems.map(formatProblem).join('\n'))
  return read.value
}

/** What the webhook would ask about a pod. */
export function requestFor(pod: Json, more: Partial<InjectRequest> = {}): InjectRequest {
  const metadata = isObject(pod) ? pod['metadata'] : undefined
  return {
    pod,
    namespace: 'shop',
    owner: ownerOf(metadata, 'shop'),
    nativeSidecars: false,
    door: 'webhook',
    proxyEnvs: {},
    ...more,
  }
}

/** The value with every object and list in it frozen, so that writing to an input throws. */
export function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(frozen)
    Object.freeze(value)
  }
  return value
}
