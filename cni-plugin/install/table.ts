import type { Setting, SettingKind } from './setting.ts'

/** Every setting of the installer, in the order of the reference page. */
export const SETTINGS = [
  row(
    'CNI_PLATFORM',
    'text',
    'auto',
    'auto, default, gke, k3s, k3d, microk8s, openshift or minikube: where the directories are',
  ),
  row(
    'HOST_ROOT',
    'text',
    '/host',
    'directory of this process below which paths of the host are found',
  ),
  row(
    'MOUNTED_CNI_NET_DIR',
    'text',
    '',
    'directory with the CNI configuration; default HOST_ROOT and the platform’s',
  ),
  row(
    'HOST_CNI_BIN_DIR',
    'text',
    '',
    'directory with the CNI executables; default HOST_ROOT and the platform’s',
  ),
  row(
    'CNI_CONF_NAME',
    'text',
    '',
    'configuration file to join; empty: the one that the runtime takes',
  ),
  row(
    'CHAINED_CNI_PLUGIN',
    'text',
    '',
    'true: join a list of plugins; false: a file of our own for Multus; default the platform’s',
  ),
  row(
    'OWNED_CNI_CONFIG',
    'switch',
    'false',
    'write a copy of the list with us in it, under a name that wins, instead of editing',
  ),
  row('OWNED_CNI_CONFIG_FILENAME', 'text', '', 'that name; default 02-PLUGIN_NAME.conflist'),
  row('PLUGIN_NAME', 'text', 'sidecar-cni', 'type of the plugin and name of its executable'),
  row(
    'CNI_BINARY_SOURCE',
    'text',
    '',
    'executable to install; default sidecar-cni beside this program',
  ),
  row(
    'SKIP_INSTALL_BINARIES',
    'switch',
    'false',
    'the executable is on the node already: only ask it for its version',
  ),
  row(
    'SKIP_INSTALL_CONFIG',
    'switch',
    'false',
    'the configuration names us already: only look whether it does',
  ),
  row(
    'CNI_AGENT_RUN_DIR',
    'text',
    '',
    'directory of sockets, the same here and on the host; default /var/run/PLUGIN_NAME',
  ),
  row(
    'POD_SOURCE',
    'text',
    'annotations',
    'where the plugin learns of a pod: annotations (refuse a runtime that hands over none), auto (fall back to api), api',
  ),
  row(
    'KUBECONFIG_DIR',
    'text',
    '',
    'directory of the plugin’s kubeconfig, the same here and on the host; default /var/lib/PLUGIN_NAME',
  ),
  row('KUBECONFIG_MODE', 'text', '0600', 'permissions of the kubeconfig, octal'),
  row(
    'CNI_CONF_GROUP_READ',
    'switch',
    'false',
    'let the group read the configuration files that are ours: 0640 instead of 0600',
  ),
  row(
    'PLUGIN_SERVICE_ACCOUNT',
    'text',
    'sidecar-cni-plugin',
    'account whose token the kubeconfig gets, in the namespace of this pod',
  ),
  row(
    'NETWORK_ATTACHMENT',
    'text',
    '',
    'NAMESPACE/NAME of the NetworkAttachmentDefinition to make where it is missing; only with CHAINED_CNI_PLUGIN=false',
  ),
  row(
    'EXCLUDE_NAMESPACES',
    'text',
    'kube-system,sidecar-injector',
    'namespaces whose pods the plugin leaves alone, list; our own and ISTIO_NAMESPACE always',
  ),
  row('ISTIO_NAMESPACE', 'text', 'istio-system', 'namespace of the control plane'),
  row(
    'ON_ERROR',
    'text',
    'fail',
    'fail: a pod that cannot be served does not start; warn: it starts without rules',
  ),
  row('IPTABLES_MODE', 'text', 'auto', 'rule engine of the node: auto, nft, legacy or native'),
  row(
    'TOOL_DIRS',
    'text',
    '',
    'directories of the host where the plugin looks for iptables first, list',
  ),
  row('IPV6', 'text', 'auto', 'rules for IPv6: auto, on or off'),
  row('PLUGIN_LOG_LEVEL', 'text', '', 'log level of the plugin; default LOG_LEVEL'),
  row('LOG_LEVEL', 'text', 'info', 'debug, info, warn or error'),
  row('MONITORING_PORT', 'number', '15014', 'port of /metrics, 0 for any'),
  row('HEALTH_PORT', 'number', '8000', 'port of /healthz and /readyz, 0 for any'),
  row('POD_NAMESPACE', 'text', '', 'namespace of this pod'),
  row('NODE_NAME', 'text', '', 'node of this pod'),
  row(
    'DAEMONSET_NAME',
    'text',
    '',
    'DaemonSet of this pod: what tells an upgrade from an uninstall',
  ),
  row('KUBERNETES_SERVICE_HOST', 'text', '', 'API server; a pod is given it'),
  row('KUBERNETES_SERVICE_PORT', 'text', '', 'its port; a pod is given it'),
  row('KUBERNETES_SERVICE_PROTOCOL', 'text', 'https', 'https or http'),
  row(
    'SERVICE_ACCOUNT_DIR',
    'text',
    '/var/run/secrets/kubernetes.io/serviceaccount',
    'directory of the token and ca.crt of this pod',
  ),
  row(
    'KUBE_CA_FILE',
    'text',
    '',
    'certificates that the API server’s is checked with; default ca.crt of SERVICE_ACCOUNT_DIR',
  ),
  row(
    'SKIP_TLS_VERIFY',
    'switch',
    'false',
    'do not check the API server’s certificate, here and in the kubeconfig',
  ),
  row('DRY_RUN', 'switch', 'false', 'print what would be changed, change nothing'),
  row('PURGE', 'switch', 'false', 'on uninstall: remove the executable too'),
] as const satisfies readonly Setting[]

/** The environment variables that the installer reads. */
export type SettingName = (typeof SETTINGS)[number]['env']

function row<const Env extends string>(
  env: Env,
  kind: SettingKind,
  byDefault: string,
  help: string,
): Setting & { readonly env: Env } {
  return { env, kind, default: byDefault, help }
}
