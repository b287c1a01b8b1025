/** Releases of the chart that an API server must take. */

/** A release, by what `--set` says; `values` is the text of a values file. */
export type Release = {
  readonly set: readonly string[]
  readonly namespace?: string
  readonly values?: string
  readonly name?: string
}

/** Settings of a release, by what a user would want. */
const COMBINATIONS: readonly (readonly string[])[] = [
  [],
  ['webhook.enabled=false'],
  ['webhook.failurePolicy=Ignore', 'policy.action=warn', 'webhook.timeoutSeconds=3'],
  ['policy.action=deny', 'webhook.enableNamespacesByDefault=true', 'revisionTags={default,prod}'],
  ['revision=canary', 'revisionTags={prod}', 'policy.action=warn'],
  ['certificate.source=cert-manager', 'injection.source=chart'],
  [
    'certificate.source=cert-manager',
    'certificate.issuerRef.name=corp',
    'certificate.issuerRef.kind=ClusterIssuer',
  ],
  [
    'certificate.source=secret',
    'certificate.secretName=mine',
    'networkPolicy.apiServerCidrs={10.0.0.0/24}',
  ],
  ['openshift=true', 'cni.enabled=true', 'cni.platform=openshift', 'injection.source=chart'],
  [
    'autoscaling.enabled=true',
    'podDisruptionBudget.minAvailable=50%',
    'image.digest=sha256:' + 'a'.repeat(64),
    'imagePullSecrets[0].name=registry',
  ],
  [
    'cni.enabled=true',
    'cni.platform=gke',
    'cni.repair=label',
    'cni.podSource=auto',
    'injection.source=chart',
  ],
  [
    'cni.enabled=true',
    'cni.repair=delete',
    'cni.env.AMBIENT=no',
    'monitoring.podMonitor.enabled=true',
    'monitoring.serviceMonitor.enabled=true',
    'monitoring.prometheusRule.enabled=true',
    'monitoring.dashboard.enabled=true',
  ],
  [
    'injection.source=chart',
    'injection.mesh.trustDomain=example.org',
    'priorityClass.create=false',
    'priorityClass.name=system-cluster-critical',
    'topologySpread=null',
    'networkPolicy.enabled=false',
    'extraArgs={--max-requests=100}',
    'logLevel=debug',
  ],
]

/** Values that are no strings to YAML where nobody quotes them, and names as long as the schema lets them be. */
const ODD: readonly Release[] = [
  {
    name: '123',
    namespace: '2024',
    set: ['cni.enabled=true', 'cni.podSource=api', 'cni.repair=delete', 'policy.action=warn'],
    values: `
      revision: "20241121"
      revisionTags: ["2024", "true", "1e3"]
      istioNamespace: "0"
      priorityClass: {name: "007"}
      topologySpread: ["null"]
      certificate: {source: secret, secretName: "10"}
      cni: {namespace: "1e3"}
    `,
  },
  {
    set: ['certificate.source=cert-manager'],
    values: '{revision: "true", revisionTags: ["null"], certificate: {secretName: "null"}}',
  },
  {
    set: [
      `revision=${'r'.repeat(46)}`,
      `revisionTags={${'t'.repeat(63)}}`,
      'autoscaling.enabled=true',
      'policy.action=warn',
    ],
  },
  {
    set: [
      'revisionTags=null',
      'webhook.excludedNamespaces=null',
      'webhook.annotations=null',
      'cni.enabled=true',
      'cni.excludeNamespaces=null',
      'policy.action=warn',
    ],
  },
  {
    set: ['extraVolumes[0].name=callers', 'extraVolumes[0].configMap.name=callers'],
    values: 'extraVolumeMounts: [{name: callers, mountPath: /etc/callers, readOnly: true}]',
  },
]

/** All of them. */
export const releases: readonly Release[] = [...COMBINATIONS.map((set) => ({ set })), ...ODD]
