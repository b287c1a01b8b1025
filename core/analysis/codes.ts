/** How bad a finding is: it will fail; it will surprise; it is worth knowing. */
export type Severity = 'error' | 'warning' | 'info'

/** The severities, the worst first. */
export const SEVERITIES = ['error', 'warning', 'info'] as const satisfies readonly Severity[]

/** One kind of finding. The words are Markdown. */
export type CodeRow = {
  /** Stable; a retired code is not used again. */
  readonly code: string
  readonly severity: Severity
  readonly title: string
  /** What is the matter, without the place and the texts, which each finding carries. */
  readonly sentence: string
  readonly remedy: string
  /** What `istioctl analyze` calls the same matter; suppressing one suppresses the other. */
  readonly istio?: string
}

/** The closed set of codes. */
export type Code = (typeof CODES)[number]['code']

/** Everything that `check` can find, in the order of the reference page. */
export const CODES = [
  {
    code: 'SI0101',
    severity: 'info',
    title: 'NamespaceNotInjected',
    sentence: 'the namespace has no label that asks for injection',
    remedy:
      'label it `istio-injection=enabled` or `istio.io/rev=REVISION`; `disabled` says that it is meant',
    istio: 'IST0102',
  },
  {
    code: 'SI0102',
    severity: 'warning',
    title: 'NamespaceBothLabels',
    sentence: 'the namespace has both injection labels, of which `istio-injection` wins',
    remedy: 'remove one of them',
    istio: 'IST0123',
  },
  {
    code: 'SI0103',
    severity: 'warning',
    title: 'NamespaceSidecarAndAmbient',
    sentence:
      'the namespace is in ambient mode and asks for sidecars too; pods with a sidecar stay out of ambient mode',
    remedy: 'remove `istio.io/dataplane-mode` or the injection label',
  },
  {
    code: 'SI0104',
    severity: 'warning',
    title: 'NamespaceLabelText',
    sentence: 'the injection label of the namespace has a text that no injector looks for',
    remedy: 'write `enabled` or `disabled`',
  },
  {
    code: 'SI0110',
    severity: 'info',
    title: 'PodNotInjected',
    sentence: 'the pod will not be injected',
    remedy: 'nothing, if that is meant; the reasons are listed in [reasons](reasons.md)',
  },
  {
    code: 'SI0111',
    severity: 'warning',
    title: 'PodAskedInVain',
    sentence: 'the pod asks for injection, but no webhook is asked about it',
    remedy:
      'put the *label* `sidecar.istio.io/inject` on the pod template, and no `disabled` on the namespace',
  },
  {
    code: 'SI0112',
    severity: 'error',
    title: 'InjectionRefused',
    sentence: 'injection will refuse the pod',
    remedy: 'see what was found and what is wanted',
  },
  {
    code: 'SI0113',
    severity: 'warning',
    title: 'PodMissingProxy',
    sentence: 'the running pod has no proxy, although it would get one today',
    remedy: 'restart the workload; then look at the injector, if it still has none',
    istio: 'IST0103',
  },
  {
    code: 'SI0114',
    severity: 'warning',
    title: 'InjectTextNotBoolean',
    sentence: '`sidecar.istio.io/inject` has a text that counts as not said',
    remedy: 'write exactly `true` or `false`',
  },
  {
    code: 'SI0115',
    severity: 'error',
    title: 'ImageAutoWithoutInjection',
    sentence: 'the container waits for injection to give it an image, and will not be injected',
    remedy: 'make the pod one that is injected, or name the image',
    istio: 'IST0147',
  },
  {
    code: 'SI0120',
    severity: 'error',
    title: 'WebhooksOverlap',
    sentence: 'two entries of injectors take the same pods, which would then be injected twice',
    remedy: 'make the selectors exclude each other, by revision for instance',
    istio: 'IST0139',
  },
  {
    code: 'SI0121',
    severity: 'error',
    title: 'PodTakenTwice',
    sentence: 'more than one injector takes the pod',
    remedy: 'make the selectors of the webhooks exclude each other',
    istio: 'IST0139',
  },
  {
    code: 'SI0122',
    severity: 'error',
    title: 'WebhookSelectorUnreadable',
    sentence: 'a selector of the webhook cannot be read, so that its entry takes nothing',
    remedy: 'write a label selector',
    istio: 'IST0139',
  },
  {
    code: 'SI0201',
    severity: 'warning',
    title: 'UnknownAnnotation',
    sentence: 'nothing reads the annotation',
    remedy: 'look for a typing mistake in [annotations](annotations.md)',
    istio: 'IST0108',
  },
  {
    code: 'SI0202',
    severity: 'warning',
    title: 'MisplacedAnnotation',
    sentence: 'the annotation or label has no effect here: injection reads it on pods',
    remedy: 'move it to the metadata of the pod template',
    istio: 'IST0107',
  },
  {
    code: 'SI0203',
    severity: 'error',
    title: 'InvalidAnnotation',
    sentence: 'the text of the annotation is wrong, and injection will refuse the pod',
    remedy: 'write what is wanted',
    istio: 'IST0125',
  },
  {
    code: 'SI0204',
    severity: 'info',
    title: 'DeprecatedAnnotation',
    sentence: 'the annotation is old, and has a successor',
    remedy: 'use the successor',
    istio: 'IST0135',
  },
  {
    code: 'SI0301',
    severity: 'info',
    title: 'PortProtocolUnknown',
    sentence:
      'neither name nor `appProtocol` tells the protocol of the port, so that it is guessed from the traffic',
    remedy: 'begin the name with the protocol (`http-web`), or set `appProtocol`',
    istio: 'IST0118',
  },
  {
    code: 'SI0302',
    severity: 'warning',
    title: 'ExternalNameTcpPort',
    sentence:
      'a TCP port of an ExternalName service takes the traffic of that port to every address',
    remedy: 'name the protocol of the port (`tls`, `https`, `http`), or leave the port out',
    istio: 'IST0150',
  },
  {
    code: 'SI0303',
    severity: 'warning',
    title: 'ServicesDifferInProtocol',
    sentence: 'services of the pod use one port number with different protocols',
    remedy: 'use different port numbers',
    istio: 'IST0116',
  },
  {
    code: 'SI0304',
    severity: 'warning',
    title: 'ServicesDifferInPort',
    sentence:
      'services of the pod lead to one port of it from different ports, of which the proxy can serve one',
    remedy: 'use one port number in all services',
    istio: 'IST0137',
  },
  {
    code: 'SI0305',
    severity: 'warning',
    title: 'PortOfTheProxy',
    sentence: 'the application uses a port that the proxy listens on',
    remedy: 'use another port',
  },
  {
    code: 'SI0401',
    severity: 'warning',
    title: 'ApplicationRunsAsProxy',
    sentence: 'the container runs as the user or group of the proxy, whose traffic is not captured',
    remedy: 'use another id than 1337',
    istio: 'IST0144',
  },
  {
    code: 'SI0402',
    severity: 'warning',
    title: 'HostPortCaptured',
    sentence:
      'what comes in by the port of the node reaches the proxy, which refuses it under strict mutual TLS',
    remedy:
      'use a Service or a gateway, or list the port in `traffic.sidecar.istio.io/excludeInboundPorts`',
  },
  {
    code: 'SI0403',
    severity: 'error',
    title: 'ProbeUnanswered',
    sentence: 'the check will never be answered',
    remedy: 'name a port of the container, or write its number',
  },
  {
    code: 'SI0404',
    severity: 'warning',
    title: 'ProbeNotRewritten',
    sentence:
      'the kubelet checks a captured port itself: refused under strict mutual TLS, and a TCP check only finds the proxy',
    remedy: 'leave `sidecar.istio.io/rewriteAppHTTPProbers` on, or exclude the port from capture',
  },
  {
    code: 'SI0405',
    severity: 'warning',
    title: 'ProbeHost',
    sentence: "the check names a host, where the kubelet will look for the agent's port",
    remedy: 'remove `host`: the default is the pod itself',
  },
  {
    code: 'SI0410',
    severity: 'warning',
    title: 'JobNeverEnds',
    sentence:
      'the proxy keeps running when the work of the Job is done, so that the Job never completes',
    remedy:
      'use native sidecars (`sidecar.istio.io/nativeSidecar: "true"`, Kubernetes 1.29 or later), or ask the agent to quit (`POST /quitquitquit` on port 15020)',
  },
  {
    code: 'SI0501',
    severity: 'error',
    title: 'PodSecurityRefusesSidecar',
    sentence: 'the Pod Security level of the namespace refuses what injection adds to the pod',
    remedy:
      'use the CNI plugin (`pilot.cni.enabled`), so that no container needs NET_ADMIN or root; set `global.proxy.seccompProfile` for `restricted`',
  },
  {
    code: 'SI0502',
    severity: 'error',
    title: 'PodSecurityRefusesPod',
    sentence: 'the Pod Security level of the namespace refuses the pod, also without a sidecar',
    remedy: 'change the security context of the pod, or the level of the namespace',
  },
  {
    code: 'SI0503',
    severity: 'info',
    title: 'PodSecurityWarns',
    sentence: 'the injected pod does not meet the level that the namespace warns or audits about',
    remedy: 'as for SI0501 and SI0502',
  },
  {
    code: 'SI0504',
    severity: 'error',
    title: 'LimitRangeRefusesSidecar',
    sentence:
      'the LimitRange of the namespace refuses the resources of an injected container, or of the pod with it',
    remedy:
      'set `global.proxy.resources`, or `sidecar.istio.io/proxyCPU`, `proxyCPULimit`, `proxyMemory` and `proxyMemoryLimit` on the pod',
  },
  {
    code: 'SI0505',
    severity: 'error',
    title: 'QuotaNeedsAmount',
    sentence: 'a ResourceQuota counts something that an injected container does not say',
    remedy: 'set `global.proxy.resources`, or a LimitRange with defaults',
  },
  {
    code: 'SI0506',
    severity: 'warning',
    title: 'QuotaTooSmallForSidecars',
    sentence:
      'the pods of the namespace fit into its ResourceQuota without sidecars, and not with them',
    remedy: 'raise the quota, or lower what the proxies ask for',
  },
] as const satisfies readonly CodeRow[]

/** The row of a code. */
export function rowOf(code: Code): CodeRow {
  const row: CodeRow | undefined = ROWS.get(code)
  if (row === undefined) throw new Error(`no row for ${code}`)
  return row
}

const ROWS: ReadonlyMap<string, CodeRow> = new Map(CODES.map((row) => [row.code, row]))
