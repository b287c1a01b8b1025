/** The word of `ENABLE_NATIVE_SIDECARS`: yes, no, or whatever every node of the cluster can do. */
export type NativeMode = 'true' | 'false' | 'auto'

/** The first kubelet minor version, of Kubernetes 1, that native sidecars are trusted on. */
export const NATIVE_SINCE_MINOR = 33

/** Reads the environment variable: unset or empty means `auto`, a word that is none of the three `false`. */
export function readNativeMode(text: string | undefined): NativeMode {
  switch (text ?? '') {
    case 'true':
      return 'true'
    case '':
    case 'auto':
      return 'auto'
    default:
      return 'false'
  }
}

/** A node as far as it matters here. */
export type NodeFact = {
  readonly name: string
  /** `status.nodeInfo.kubeletVersion`, such as `v1.33.2` or `v1.33.2+k3s1`. */
  readonly kubeletVersion: string
}

/**
 * Whether the proxy is a native sidecar when the pod itself does not say. In `auto` a pod that is bound
 * to a known node asks that node only, any other pod all of them. No nodes known means plain containers:
 * they work everywhere (Istio takes an empty list for yes).
 */
export function isNativeByDefault(
  mode: NativeMode,
  nodes: readonly NodeFact[],
  nodeName: string | undefined,
): boolean {
  if (mode !== 'auto') return mode === 'true'
  const bound = nodes.filter((node) => node.name === nodeName)
  const asked = bound.length > 0 ? bound : nodes
  return asked.length > 0 && asked.every((node) => canBeNative(node.kubeletVersion))
}

/** The minor number alone counts, as in Istio; text that is no version means no. */
function canBeNative(kubeletVersion: string): boolean {
  const minor = /^v?\d+\.(\d+)/.exec(kubeletVersion)?.[1]
  return minor !== undefined && Number(minor) >= NATIVE_SINCE_MINOR
}
