import type { Operation } from 'fast-json-patch'
import { isObject, type JsonObject } from '../../core/json.ts'
import { microTime } from '../micro-time.ts'

/** What a Lease (`coordination.k8s.io/v1`) says about who leads. */
export type Lease = {
  readonly resourceVersion: string
  /** Empty where nobody holds it. */
  readonly holder: string
  /** Seconds that the holder may go without renewing before others take over. */
  readonly seconds: number
  /** How often the holder changed. */
  readonly transitions: number
  /** Whether the Lease has a `spec` that fields can be written into. */
  readonly hasSpec: boolean
}

/** Who writes a Lease, for how many seconds, and when. */
export type Claim = { readonly holder: string; readonly seconds: number; readonly now: Date }

/** Reads a Lease as an API server gives it; what is not there reads as nobody's. */
export function readLease(object: unknown): Lease {
  const { metadata, spec } = isObject(object) ? object : {}
  const fields: JsonObject = isObject(spec) ? spec : {}
  const version = isObject(metadata) ? metadata['resourceVersion'] : undefined
  const { holderIdentity, leaseDurationSeconds, leaseTransitions } = fields
  return {
    resourceVersion: typeof version === 'string' ? version : '',
    holder: typeof holderIdentity === 'string' ? holderIdentity : '',
    seconds: typeof leaseDurationSeconds === 'number' ? leaseDurationSeconds : 0,
    transitions: typeof leaseTransitions === 'number' ? leaseTransitions : 0,
    hasSpec: isObject(spec),
  }
}

/** A Lease for who comes first. */
export function newLease(name: string, claim: Claim): JsonObject {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name },
    spec: { ...specOf(claim), acquireTime: microTime(claim.now), leaseTransitions: 0 },
  }
}

/** The patch by which another one takes a Lease over. */
export function takeOver(lease: Lease, claim: Claim): readonly Operation[] {
  return patch(lease, {
    ...specOf(claim),
    acquireTime: microTime(claim.now),
    leaseTransitions: lease.transitions + 1,
  })
}

/** The patch by which the holder stays the holder. */
export function renewal(lease: Lease, claim: Claim): readonly Operation[] {
  return patch(lease, specOf(claim))
}

/** The patch by which the holder leaves: the next one need not wait. */
export function release(lease: Lease, now: Date): readonly Operation[] {
  // Zero is not a valid duration, and the others need not wait for a lease of nobody.
  return patch(lease, specOf({ holder: '', seconds: 1, now }))
}

function specOf({ holder, seconds, now }: Claim): JsonObject {
  return { holderIdentity: holder, leaseDurationSeconds: seconds, renewTime: microTime(now) }
}

/** Only fields of ours are written, and only while nobody has written since we read. */
function patch(lease: Lease, fields: JsonObject): readonly Operation[] {
  const unchanged = test('/metadata/resourceVersion', lease.resourceVersion)
  if (!lease.hasSpec) return [unchanged, { op: 'add', path: '/spec', value: fields }]
  const writes = Object.entries(fields).map(([name, value]) => {
    return { op: 'add', path: `/spec/${name}`, value } as const
  })
  return [unchanged, ...writes]
}

function test(path: string, value: string): Operation {
  return { op: 'test', path, value }
}
