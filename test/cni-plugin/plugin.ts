import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeJournal } from '../../cni-plugin/log.ts'
import { main } from '../../cni-plugin/main.ts'
import type { Answer } from '../../cni-plugin/protocol.ts'
import { DEFAULT_INTERCEPTION, type InterceptionOptions } from '../../core/options/interception.ts'
import {
  DEFAULT_LOOK,
  printRedirectPlan,
  type NodePlan,
  type RedirectPlan,
} from '../../core/options/redirect-plan.ts'
import { bundle } from '../../scripts/bundle.mjs'

export const CAPABILITY = 'io.kubernetes.cri.pod-annotations'
export const PLAN_KEY = 'sidecar-injector.io/redirect-plan'
export const STATUS_KEY = 'sidecar.istio.io/status'
export const SOURCE_KEY = 'kubernetes.io/config.source'

/** What the injector asks for of an ordinary pod. */
export const ORDINARY: InterceptionOptions = {
  ...DEFAULT_INTERCEPTION,
  inboundPorts: '*',
  includeOutboundCidrs: '*',
  excludeInboundPorts: [15090, 15021, 15020].map((port) => ({ first: port, last: port })),
}

/** A plan for the node, ordinary but for some settings. */
export function nodePlan(
  options: Partial<InterceptionOptions> = {},
  more: Partial<NodePlan> = {},
): NodePlan {
  return {
    apply: 'cni',
    options: { ...ORDINARY, ...options },
    look: DEFAULT_LOOK,
    nativeNftables: false,
    hostUsers: true,
    revision: 'default',
    ...more,
  }
}

/** Annotations of a pod as kubelet hands them to a runtime. */
export function annotationsWith(plan: RedirectPlan = nodePlan()): Record<string, string> {
  return {
    [SOURCE_KEY]: 'api',
    [STATUS_KEY]: '{"initContainers":["istio-validation"],"containers":["istio-proxy"]}',
    [PLAN_KEY]: printRedirectPlan(plan),
  }
}

/** A configuration as a runtime sends it. */
export function confWith(
  annotations: unknown,
  more: Readonly<Record<string, unknown>> = {},
): string {
  const runtimeConfig = annotations === undefined ? undefined : { [CAPABILITY]: annotations }
  return JSON.stringify({
    cniVersion: '1.0.0',
    name: 'net',
    type: 'sidecar-cni',
    runtimeConfig,
    ...more,
  })
}

/** The variables of an ADD, or of another command. */
export function envWith(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/var/run/netns/nobody-has-this',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web',
    CNI_PATH: '/opt/cni/bin',
    ...more,
  }
}

/** One call in this process: the answer, read, and the lines of the log. */
export type Called = {
  readonly exit: number
  readonly stdout: string
  readonly json: Record<string, unknown>
  readonly log: readonly Record<string, unknown>[]
}

/** Calls the plugin without starting a process. */
export async function call(env: Readonly<Record<string, string>>, stdin: string): Promise<Called> {
  const lines: string[] = []
  const journal = makeJournal(
    (line) => lines.push(line),
    () => new Date(0),
  )
  const answer: Answer = await main({
    env: { PATH: process.env['PATH'], ...env },
    readInput: async () => stdin,
    journal,
    say: (text) => lines.push(JSON.stringify({ said: text })),
  })
  return {
    ...answer,
    json: parse(answer.stdout),
    log: lines.map(parse),
  }
}

/** The plugin as a file that a runtime starts. */
export type Program = {
  readonly folder: string
  readonly path: string
  readonly remove: () => void
}

/** Bundles the plugin into a folder of its own, under the name of its type. */
export async function buildPlugin(): Promise<Program> {
  const folder = mkdtempSync(join(tmpdir(), 'cni-plugin-'))
  chmodSync(folder, 0o755)
  const path = join(folder, 'sidecar-cni')
  await bundle(join(import.meta.dirname, '../..'), 'cni-plugin/bin.ts', path, [])
  chmodSync(path, 0o755)
  return {
    folder,
    path,
    remove: () => {
      rmSync(folder, { recursive: true })
    },
  }
}

/** What a process of the plugin did. */
export type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

/** Starts the plugin with nothing but the given environment. */
export function run(
  program: Program,
  env: Readonly<Record<string, string>>,
  stdin: string,
): Promise<Ran> {
  const child = spawn(process.execPath, [program.path], {
    env: { PATH: process.env['PATH'], ...env },
    timeout: 90_000,
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdin.on('error', () => undefined)
  child.stdin.end(stdin)
  return new Promise((resolve) => {
    child.on('close', (code) => {
      resolve({ code, stdout, stderr })
    })
  })
}

/** Why namespaces cannot be tested here; undefined when they can. */
export function netnsUnavailable(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root: network namespaces and iptables'
  for (const tool of ['ip', 'nsenter', 'setpriv', 'iptables-nft', 'iptables-legacy', 'nft']) {
    if (spawnSync(tool, ['--version']).error !== undefined) {
      return `needs ${tool}: apt-get install iptables nftables iproute2 util-linux`
    }
  }
  return undefined
}

function parse(text: string): Record<string, unknown> {
  return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)
}
