/** Names and numbers that more than one room relies on: what each is and where it comes from. */

// Ports of the proxy, TCP unless said otherwise.

/** Where Envoy takes captured outbound connections (MeshConfig.proxyListenPort). */
export const OUTBOUND_CAPTURE_PORT = 15001
/** Where Envoy takes captured inbound connections (MeshConfig.proxyInboundListenPort). */
export const INBOUND_CAPTURE_PORT = 15006
/** HBONE tunnel of ambient peers. */
export const INBOUND_TUNNEL_PORT = 15008
/** The agent's status and merged-metrics port (ProxyConfig.statusPort). */
export const STATUS_PORT = 15020
/** Envoy's health listener, which the kubelet probes. */
export const HEALTH_PORT = 15021
/** Envoy's own Prometheus listener. */
export const PROXY_METRICS_PORT = 15090
/** The agent's DNS proxy, UDP and TCP. */
export const DNS_CAPTURE_PORT = 15053

/** User and group that the proxy runs as, and that the rules leave alone. */
export const PROXY_ID = 1337

// Names in pods.

export const PROXY_CONTAINER = 'istio-proxy'
export const INIT_CONTAINER = 'istio-init'
/** The init container's name in CNI mode: it only checks that the rules are there. */
export const VALIDATION_CONTAINER = 'istio-validation'

// Labels and annotations that steer or report injection, as Istio names them.

/** Label or annotation, `true` or `false`; the label wins. */
export const INJECT_KEY = 'sidecar.istio.io/inject'
/** Annotation: JSON that names what injection added. */
export const STATUS_ANNOTATION = 'sidecar.istio.io/status'
/** Annotation: the user's own fields of containers that injection took over, JSON. */
export const OVERRIDES_ANNOTATION = 'proxy.istio.io/overrides'
/** Annotation: template names, comma separated. */
export const TEMPLATES_ANNOTATION = 'inject.istio.io/templates'
/** Annotation: ProxyConfig as YAML. */
export const PROXY_CONFIG_ANNOTATION = 'proxy.istio.io/config'
/** Annotation: REDIRECT, TPROXY or NONE. */
export const INTERCEPTION_MODE_ANNOTATION = 'sidecar.istio.io/interceptionMode'
/** Annotation: the port of the agent's status server; 0 switches probes off. */
export const STATUS_PORT_ANNOTATION = 'status.sidecar.istio.io/port'
/** Annotation of our own: what the node needs to write a pod's rules (core/options/redirect-plan.ts). */
export const REDIRECT_PLAN_ANNOTATION = 'sidecar-injector.io/redirect-plan'
/** Environment of the validation: the plan as the pod carries it now, and the SHA-256 of the one it was given. */
export const REDIRECT_PLAN_ENV = 'SIDECAR_REDIRECT_PLAN'
export const REDIRECT_PLAN_DIGEST_ENV = 'SIDECAR_REDIRECT_PLAN_SHA256'

// Labels that decide which webhook the API server asks, and names by which webhooks are told apart.

/** Label of a namespace: `enabled` gives its pods to the default revision, any other text to nobody. */
export const INJECTION_LABEL = 'istio-injection'
/** Label of a namespace or a pod: the revision that is to inject. Also of istiod's webhook configurations. */
export const ISTIO_REVISION_LABEL = 'istio.io/rev'
/** Label of a namespace: `ambient` hands its pods to the node's own proxy. */
export const DATAPLANE_LABEL = 'istio.io/dataplane-mode'
/** Label of our webhook configurations: the revision. */
export const REVISION_LABEL = 'sidecar-injector.io/rev'
/** Label that the API server gives each namespace: its name. */
export const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name'
/** What the names of our entries end in; istiod patches those that end in its own suffix. */
export const ENTRY_SUFFIX = 'sidecar-injector.io'
export const ISTIO_ENTRY_SUFFIX = 'sidecar-injector.istio.io'
/** How the revision without a name is written in labels. */
export const DEFAULT_REVISION = 'default'

// Traffic capture: what `istio-iptables` writes into the kernel.

/** Where the validation probe connects to; nothing listens there, so only the rules can answer it. */
export const PROBE_PORT = 15002
/** Source of the proxy's own connections to the application: traffic from here is never captured. */
export const PASSTHROUGH_SOURCE = { v4: '127.0.0.6/32', v6: '::6/128' } as const
/** What counts as loopback in the rules unless told otherwise; IPv6 has no setting for it. */
export const LOOPBACK = { v4: '127.0.0.1/32', v6: '::1/128' } as const
/** Firewall mark of captured inbound connections in TPROXY mode (0x539). */
export const TPROXY_MARK = 1337
/** Firewall mark of the proxy's calls to its own pod in TPROXY mode; fixed in Istio. */
export const SELF_CALL_MARK = 1338
/** Routing table that delivers marked packets locally in TPROXY mode. */
export const TPROXY_ROUTE_TABLE = 133
/** Plain DNS, UDP and TCP. */
export const DNS_PORT = 53
/** SSH, which Istio 1.8 exempts from inbound capture. */
export const SSH_PORT = 22
/** Conntrack zones that keep the proxy's own queries (first) apart from captured ones (second). */
export const DNS_ZONES = { proxy: 1, application: 2 } as const
/** Most owner groups that one iptables rule can name (tried: the 50th fails to load). */
export const LARGEST_OWNER_GROUPS = 49
/** Native nftables tables, family inet, by the iptables table whose rules they hold. */
export const NFT_TABLES = {
  nat: 'istio-proxy-nat',
  mangle: 'istio-proxy-mangle',
  raw: 'istio-proxy-raw',
} as const
/** User whose uid the proxy runs as when no uid is given, if the host knows it. */
export const PROXY_USER = 'istio-proxy'
