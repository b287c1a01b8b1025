/** How the own CA and its leaves change: one step at a time, each written into the Secret. */
import { X509Certificate } from 'node:crypto'
import type { KeyPair } from '../tls/authority.ts'
import type { AuthorityState } from './state.ts'

/** Days that a CA of ours is valid. */
export const CA_DAYS = 3650
/** Share of its life after which a CA is replaced, so that no leaf has to end with it. */
const CA_SHARE = 0.8
/** Days that a leaf is valid. */
export const LEAF_DAYS = 90
/** Share of its life after which a replica makes another leaf: long before the warnings begin. */
export const LEAF_SHARE = 0.5
/** Days beyond the life of the last leaf for which its CA stays trusted after an ordinary rotation. */
const SLACK_DAYS = 1
/** Milliseconds. */
const DAY = 24 * 60 * 60_000

/** What the leader does next. */
export type Step =
  /** Every replica makes its leaf anew. */
  | { readonly do: 'renew-leaves'; readonly why: string }
  /** A second CA is made and published beside the one that signs. */
  | { readonly do: 'publish-next'; readonly why: string; readonly oldUntil: Date | undefined }
  /** The second CA signs from now on. */
  | { readonly do: 'switch' }
  /** CAs that signed before are no longer trusted. */
  | { readonly do: 'retire-old' }
  /** A wish that we do not know is taken away. */
  | { readonly do: 'ignore'; readonly request: string }

/** What counts for the next step besides the state. */
export type Facts = {
  readonly now: Date
  /** Milliseconds for which every bundle has been as the state wants it, by this leader's own clock. */
  readonly inSyncMs: number
  /** Milliseconds after which every API server has seen a bundle, and every replica the Secret. */
  readonly delayMs: number
}

/** The first step that is due; undefined when there is nothing to do now. */
export function nextStep(state: AuthorityState, facts: Facts): Step | undefined {
  const { now, inSyncMs, delayMs } = facts
  const isSettled = inSyncMs >= delayMs
  if (state.request === 'leaf') return { do: 'renew-leaves', why: 'asked for' }
  if (state.request !== undefined && state.request !== 'ca') {
    return { do: 'ignore', request: state.request }
  }
  if (state.next !== undefined) return isSettled ? { do: 'switch' } : undefined
  if (state.request === 'ca') return { do: 'publish-next', why: 'asked for', oldUntil: undefined }
  const times = timesOf(state.ca.cert)
  if (hasLived(times, CA_SHARE, now)) {
    // Nobody is in a hurry: even a replica that hears nothing for long serves what is trusted.
    const oldUntil = new Date(now.getTime() + (LEAF_DAYS + SLACK_DAYS) * DAY)
    return { do: 'publish-next', why: `valid to ${times.notAfter.toISOString()}`, oldUntil }
  }
  if (state.old === '' || !isSettled) return undefined
  return state.oldUntil === undefined || now > state.oldUntil ? { do: 'retire-old' } : undefined
}

/** Whether the state has a step ahead that waits for the delay. */
export function isRotating({ next, old, oldUntil }: AuthorityState, now: Date): boolean {
  return next !== undefined || (old !== '' && (oldUntil === undefined || now > oldUntil))
}

/** The state after a step; `made` is a new CA, for the step that needs one. */
export function afterStep(
  state: AuthorityState,
  step: Exclude<Step, { readonly do: 'publish-next' }>,
  now: Date,
): AuthorityState {
  switch (step.do) {
    case 'renew-leaves':
      return { ...state, leaves: now.toISOString(), request: undefined }
    case 'ignore':
      return { ...state, request: undefined }
    case 'switch': {
      if (state.next === undefined) return state
      const old = [state.ca.cert, state.old].filter((text) => text !== '').join('\n')
      return { ...state, ca: state.next, next: undefined, old }
    }
    case 'retire-old':
      return { ...state, old: '', oldUntil: undefined }
  }
}

/** The state in which a new CA is published; the wish for it is fulfilled. */
export function withNext(
  state: AuthorityState,
  next: KeyPair,
  oldUntil: Date | undefined,
): AuthorityState {
  return { ...state, next, oldUntil, request: undefined }
}

/** Whether a certificate has lived this share of its time. */
export function hasLived(
  { notBefore, notAfter }: { readonly notBefore: Date; readonly notAfter: Date },
  share: number,
  now: Date,
): boolean {
  const from = notBefore.getTime()
  return now.getTime() > from + (notAfter.getTime() - from) * share
}

/** When a certificate in PEM is valid. */
export function timesOf(pem: string): { readonly notBefore: Date; readonly notAfter: Date } {
  const { validFrom, validTo } = new X509Certificate(pem)
  return { notBefore: new Date(validFrom), notAfter: new Date(validTo) }
}
