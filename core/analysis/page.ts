import { CODES, type CodeRow } from './codes.ts'

/** The reference page of `check`, Markdown. `npm run reference` writes it; a test compares. */
export function printCheckPage(): string {
  const rows = CODES.map(printRow).join('\n')
  return `${INTRODUCTION}\n${HEAD}\n${rows}\n\n${NOTES}`
}

const INTRODUCTION = `# check

\`sidecar-injector check\` finds what injection will do wrong before anything is deployed: pods that will not be
injected, and injected pods that will be refused or will not work. It decides with the code of the webhook.

\`\`\`sh
npx sidecar-injector check -f apps/                                   # files, folders, patterns, - for standard input
npx sidecar-injector check -f apps/ --namespace-labels istio-injection=enabled,pod-security.kubernetes.io/enforce=restricted
npx sidecar-injector check -f apps/ --output sarif > check.sarif      # for code scanning
npx sidecar-injector check --live -A                                  # the workloads of a cluster
\`\`\`

| flag | meaning |
| --- | --- |
| \`-f\`, \`--filename\` | manifests to read, as for [kube-inject](kube-inject.md); may be repeated |
| \`--live\` | read the objects of a cluster instead; the only flag that opens a connection for them |
| \`-n\`, \`--namespace\` | namespace of objects that do not say; with \`--live\` the one to look at |
| \`-A\`, \`--all-namespaces\` | with \`--live\`: look at all of them |
| \`--namespace-labels\` | labels of namespaces that are not among the manifests (\`istio-injection=enabled\`) |
| \`--output\` | \`human\` (the default), \`json\`, or \`sarif\` (SARIF 2.1.0) |
| \`--severity\` | findings from here up make the exit status 1: \`error\`, \`warning\` (the default), \`info\` |
| \`--config-from-cluster\` | with \`--live\`: take mesh and injector configuration from Istio's ConfigMaps |
| \`--meshConfigFile\`, \`--valuesFile\`, \`--injectConfigFile\`, \`--revision\`, \`--istio-version\`, \`--pod-template-path\`, \`--kubeconfig\`, \`--context\`, \`--istioNamespace\`, \`--meshConfigMapName\`, \`--injectConfigMapName\` | as for [kube-inject](kube-inject.md) |

Exit status: 0 when nothing is found from \`--severity\` up, 1 when something is, or when input cannot be read, 2 for
wrong usage. \`ENABLE_NATIVE_SIDECARS\` counts as for kube-inject; with \`--live\` the nodes of the cluster are asked.

A finding names its file, line and column, the object, the place in it as a JSON Pointer, what stands there and what
would be right. An annotation \`galley.istio.io/analyze-suppress\` on the object or its pod template silences codes, ours
or Istio's, separated by commas; \`*\` silences all. Codes do not change their meaning, and one that was given up is never
used for something else. This page is printed from the table in \`core/analysis/codes.ts\`.
`

const HEAD = `| code | severity | title | what is the matter | what to do | \`istioctl analyze\` |
| --- | --- | --- | --- | --- | --- |`

const NOTES = `- Webhooks that are among the objects decide which pods are injected. Where none is, Istio's four entries count, for every
  revision that a namespace or a pod names.
- SI0201 knows the keys of \`sidecar.istio.io\`, its subdomains, \`inject.istio.io\` and \`proxy.istio.io\`; other domains belong to
  other parts of Istio.
- SI0501 to SI0503 know the Pod Security Standards up to Kubernetes 1.36; \`latest\` means those. They judge the injected pod.
- SI0506 adds up the pods of all workloads that were read: \`replicas\`, \`parallelism\` of Jobs, one for a DaemonSet. Quotas with
  scopes are passed over.
`

function printRow({ code, severity, title, sentence, remedy, istio }: CodeRow): string {
  const cells = [code, severity, title, sentence, remedy, istio ?? '–']
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}
