/** Every version of the CNI specification that the plugin speaks, oldest first. */
export const VERSIONS = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const

export type CniVersion = (typeof VERSIONS)[number]

/** The newest one, which answers carry that have no version of their own. */
export const NEWEST: CniVersion = '1.1.0'

/** What a configuration without a version means (CNI 0.2.0, "Network Configuration"). */
export const UNSAID: CniVersion = '0.1.0'

/** The version with this text, if it is one of ours. */
export function findVersion(text: string): CniVersion | undefined {
  return VERSIONS.find((version) => version === text)
}

/** Whether a version is another one or newer. */
export function isAtLeast(version: CniVersion, other: CniVersion): boolean {
  return VERSIONS.indexOf(version) >= VERSIONS.indexOf(other)
}

/** The answer to VERSION. */
export function printVersions(): string {
  return JSON.stringify({ cniVersion: NEWEST, supportedVersions: VERSIONS })
}
