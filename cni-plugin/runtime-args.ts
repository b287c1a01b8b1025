/** Which pod a container belongs to, as the runtime says in CNI_ARGS. Empty: not a pod of Kubernetes. */
export type PodName = {
  readonly namespace: string
  readonly name: string
  /** Absent where the runtime does not say. */
  readonly uid?: string
}

/**
 * Reads CNI_ARGS, `KEY=value;KEY=value`: a value ends at the semicolon and may hold `=`, the last of equal
 * keys counts, unknown keys are passed over whatever IgnoreUnknown says.
 */
export function readRuntimeArgs(text: string): PodName {
  const args = new Map<string, string>()
  for (const item of text.split(';')) {
    const at = item.indexOf('=')
    if (at > 0) args.set(item.slice(0, at), item.slice(at + 1))
  }
  const uid = args.get('K8S_POD_UID') ?? ''
  return {
    namespace: args.get('K8S_POD_NAMESPACE') ?? '',
    name: args.get('K8S_POD_NAME') ?? '',
    ...(uid !== '' && { uid }),
  }
}
