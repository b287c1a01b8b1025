import { CODES } from './codes.ts'
import { SETTINGS, type Setting } from './options.ts'
import { SKIPS } from './skips.ts'
import { VERSIONS } from './versions.ts'

/** The reference page of the plugin, Markdown. `npm run reference` writes it; a test compares. */
export function printCniConfig(): string {
  return [
    introduction(),
    '## Keys\n',
    table(['key', 'takes', 'default', 'effect'], Object.values(SETTINGS).map(settingRow)),
    '## Commands\n',
    COMMANDS,
    '## Which pods\n',
    DECIDING,
    table(
      ['reason', 'when'],
      Object.entries(SKIPS).map(([reason, when]) => [`\`${reason}\``, when]),
    ),
    '## Errors\n',
    ERRORS,
    table(
      ['code', 'meaning', 'what helps', '`on_error: warn`'],
      Object.values(CODES).map((row) => [
        `${row.code}`,
        row.meaning,
        row.help,
        'mayWarn' in row ? 'the pod starts' : '–',
      ]),
    ),
    '## Logs\n',
    LOGS,
    '## Limits\n',
    LIMITS,
  ].join('\n')
}

function introduction(): string {
  return `# The CNI plugin

\`sidecar-cni\` is a chained CNI plugin: the runtime of a node calls it after the network's own plugins, and it writes the
rules of an injected pod into the pod's network namespace, so that the pod needs no init container with NET_ADMIN. It
speaks versions ${VERSIONS.join(', ')} of the CNI specification. The [installer](install-cni.md) writes the
entry in the network's list; by hand it looks like this:

\`\`\`json
{
  "type": "sidecar-cni",
  "capabilities": { "io.kubernetes.cri.pod-annotations": true, "dns": true }
}
\`\`\`

The first capability makes containerd (1.5 and newer) and CRI-O (1.29 and newer) hand over the annotations of the pod, so
that the plugin needs no API server and no credentials. The second tells it the resolvers of the pod; where a runtime does
not, DNS capture takes all of port 53. This page is printed from the tables in \`cni-plugin/\`.
`
}

const COMMANDS = `| command | answer |
| --- | --- |
| ADD | writes the rules and passes on \`prevResult\` as it came; a second ADD changes nothing, a failed one leaves nothing behind |
| DEL | always succeeds: the rules go with the namespace |
| CHECK | compares the rules that stand with those that the pod should have; fails with 103 only for a difference that it saw |
| STATUS | fails with 50 where an ADD would fail: programs that are missing, and with \`status_strict\` credentials |
| GC | succeeds: nothing is kept outside of pods |
| VERSION | the versions above |

The node's own network namespace is refused before anything is touched, told by device and inode; \`CNI_NETNS_OVERRIDE\`
changes nothing about that. One program may take 30 seconds, all of a call 60, and the look-up of a pod
\`pod_lookup_timeout_ms\`.
`

const DECIDING = `The redirect plan, annotation \`sidecar-injector.io/redirect-plan\`, says what to write; the injector puts it on every pod in
CNI mode. An injected pod without one is refused (104), and so is every pod where the runtime hands over no annotations
(106), unless \`pod_source\` is \`api\`: then the pod is fetched and, without a plan, Istio's own annotations count. Pods are
passed over for these reasons, which the log names:
`

const ERRORS = `Errors are JSON on standard output with exit status 1. \`msg\` is what the events of the pod show; \`details\` has the rest.
With \`on_error: warn\` the log says what the error would have been.
`

const LOGS = `JSON lines on standard error, and the same lines over the socket \`log.sock\` in \`run_dir\`, where the installer takes them
into its own log (\`POST /log\`, a JSON array of texts). Where nobody listens, they go to \`sidecar-cni.log\` beside it, of at
most 10 MiB with one older file. Handing over takes at most 100 ms and never changes an answer. Credentials
and the configuration are never logged; of a wrong value, 200 characters at most are quoted.
`

const LIMITS = `- A pod with \`hostUsers: false\` is refused (104): the kernel takes rules that match users only from the user namespace that
  owns the network namespace.
- iptables and nft ask the node's name service about users, even for numbers. Where that is LDAP or the like, put tools into
  \`tool_dirs\` that do not, or keep \`files\` first in \`/etc/nsswitch.conf\`: the plugin starts no shell, and masks no file.
- With \`pod_source: api\` and no plan, what stands in no annotation of the pod (ports of the mesh, owner groups, chain names)
  comes from \`defaults\`, the variables of the proxy, or the built-in values.
`

function settingRow({ key, takes, fallback, shown, effect }: Setting<unknown>): readonly string[] {
  return [`\`${key}\``, takes, shown ?? printed(fallback), effect]
}

function printed(fallback: unknown): string {
  if (fallback === '') return '–'
  return `\`${typeof fallback === 'string' ? fallback : JSON.stringify(fallback)}\``
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line), ''].join('\n')
}
