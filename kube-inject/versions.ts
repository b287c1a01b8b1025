import type { IstioVersion } from '../core/inject/values.ts'

/** The lines of Istio that there are templates for, the one of today first. */
export const ISTIO_VERSIONS: readonly IstioVersion[] = ['current', '1.17', '1.8']
