/** Why nothing was done about a container. The words are stable: logs and metrics carry them. */
export const SKIPS = {
  'not-kubernetes': 'CNI_ARGS names no pod of Kubernetes',
  'excluded-namespace': 'the namespace is one of `exclude_namespaces`',
  'own-pod': 'a pod of the installer, told by `agent_namespace` and `agent_pod_prefix`',
  'no-kubelet':
    'the runtime hands over annotations, and these are not of a pod that a kubelet made',
  'not-injected': 'no sidecar was injected: there is no status annotation',
  'rules-by-init': 'the init container `istio-init` of the pod writes the rules itself',
  'no-proxy': 'the pod has no container `istio-proxy`',
  'plan-none': 'the redirect plan says that nobody writes rules',
  'host-network': 'the pod shares the network of its node',
  proxyless: '`DISABLE_ENVOY` of the proxy is true: a gRPC application without proxy',
  'no-sidecar':
    'the proxy is no sidecar but a gateway, waypoint or tunnel: its second argument says so',
  'opted-out': 'label or annotation `sidecar.istio.io/inject` is false',
  'mode-none': 'the interception mode is NONE',
  warned: 'the rules could not be written, and `on_error` is `warn`',
  unknown: 'CHECK could not find out what the pod should have; it never fails for that',
} as const satisfies Record<string, string>

export type SkipReason = keyof typeof SKIPS
