/**
 * `npm run demo`: the three things this project does, on a machine with nothing but Node. It injects a
 * Deployment, asks the real webhook over verified TLS, and prints the rules of the init container.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { readInjectConfig } from '../core/inject/config.ts'
import { injectPod } from '../core/inject/inject.ts'
import { isArray, isObject, type Json, type JsonObject } from '../core/json.ts'
import { readArgv } from '../core/options/argv.ts'
import { Refusal, type Read } from '../core/problem.ts'
import { buildPlan } from '../core/rules/build.ts'
import { printStep, stepsFor } from '../core/rules/iptables.ts'
import { readSite } from '../core/rules/site.ts'
import { readYaml } from '../core/yaml.ts'

const root = join(import.meta.dirname, '../..')
const example = 'examples/nginx-deployment.yaml'
const bold = process.stdout.isTTY
  ? (text: string) => `\u001b[1m${text}\u001b[0m`
  : (text: string) => text
const say = (line = ''): void => void process.stdout.write(`${line}\n`)

const INIT_WHY = 'writes the iptables rules that send all TCP through the proxy, then ends'
const PROXY_WHY = 'Envoy and its agent, as user 1337, which the rules leave alone'

const template = podTemplate(ok(readYaml(example, readFileSync(join(root, example), 'utf8'))))
const injected = showInjection(template)
await showWebhook(template)
showRules(injected)
say()
say(bold('Next'))
say(`  npx sidecar-injector kube-inject -f ${example}           the manifest itself`)
say('  npx sidecar-injector kube-inject -f - < your.yaml         one of your own')
say('  npx sidecar-injector webhook --self-signed --ca-file ca.crt   a webhook that stays')
say('  npx istio-iptables -b "*" -i "*" -d 15090,15021,15020 --dry-run   the rules as restore text')

/** Part one: what injection adds to the Deployment, and why. */
function showInjection(pod: JsonObject): JsonObject {
  say(bold(`1. kube-inject: ${example}`))
  const config = ok(
    readInjectConfig({
      istioVersion: 'current',
      revision: '',
      digest: (text) => createHash('sha256').update(text).digest('hex'),
    }),
  )
  const decision = injectPod(
    {
      pod,
      owner: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'nginx-deployment' },
      nativeSidecars: false,
      door: 'kube-inject',
      proxyEnvs: {},
    },
    config,
  )
  if (decision.kind !== 'inject') throw new Error(`the example was not injected: ${decision.kind}`)
  say(`   injected: ${decision.sentence}`)
  const after: unknown = decision.pod
  if (!isObject(after)) throw new Error('the injected pod is no object')
  for (const line of added(pod, after)) say(`   + ${line}`)
  say()
  return after
}

/** What stands in the pod after injection that did not before, a line for each kind of thing. */
function added(before: JsonObject, after: JsonObject): readonly string[] {
  const lists = [
    { at: ['spec', 'initContainers'], what: 'init container', why: INIT_WHY },
    { at: ['spec', 'containers'], what: 'container', why: PROXY_WHY },
    {
      at: ['spec', 'volumes'],
      what: 'volumes',
      why: 'certificates, tokens and configuration of the proxy',
    },
  ]
  const maps = [
    { at: ['metadata', 'labels'], what: 'labels', why: 'how the mesh knows the workload' },
    {
      at: ['metadata', 'annotations'],
      what: 'annotations',
      why: 'metrics through the proxy; what was injected',
    },
  ]
  const listLines = lists.map(({ at, what, why }) => {
    const known = names(read(before, at))
    return { what, why, names: names(read(after, at)).filter((name) => !known.includes(name)) }
  })
  const mapLines = maps.map(({ at, what, why }) => {
    const known = keys(read(before, at))
    return { what, why, names: keys(read(after, at)).filter((key) => !known.includes(key)) }
  })
  return [...listLines, ...mapLines]
    .filter((line) => line.names.length > 0)
    .map((line) => `${line.what}: ${line.names.join(', ')}\n       ${line.why}`)
}

/** Part two: the real webhook, asked as an API server asks it. */
async function showWebhook(pod: JsonObject): Promise<void> {
  say(bold('2. webhook: an AdmissionReview over verified TLS'))
  const folder = mkdtempSync(join(tmpdir(), 'sidecar-injector-demo-'))
  const caFile = join(folder, 'ca.crt')
  const child = spawn(
    process.execPath,
    [
      join(root, 'dist/cli/main.js'),
      'webhook',
      ...['--self-signed', '--ca-file', caFile],
      ...['--address', '127.0.0.1', '--port', '0', '--monitoring-port', '0'],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  try {
    const port = await listeningPort(child)
    const asked = {
      metadata: {
        generateName: 'nginx-deployment-7fb96c846b-',
        labels: { ...labelsOf(pod), 'pod-template-hash': '7fb96c846b' },
        ownerReferences: [
          {
            apiVersion: 'apps/v1',
            kind: 'ReplicaSet',
            name: 'nginx-deployment-7fb96c846b',
            uid: 'u',
            controller: true,
          },
        ],
      },
      spec: pod['spec'] ?? {},
    }
    const answer = await post(port, readFileSync(caFile, 'utf8'), {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: { uid: 'demo', operation: 'CREATE', namespace: 'default', object: asked },
    })
    const response = isObject(answer) && isObject(answer['response']) ? answer['response'] : {}
    say(`   https://127.0.0.1:${port}/inject, verified with the webhook's own CA`)
    say(`   allowed: ${shown(response['allowed'])}, ${shown(response['patchType'] ?? 'no patch')}:`)
    for (const line of patchInWords(response['patch'])) say(`   ${line}`)
  } finally {
    child.kill('SIGTERM')
    await new Promise((resolve) => child.once('exit', resolve))
    rmSync(folder, { recursive: true, force: true })
  }
  say()
}

/** The port that the webhook says it listens on. */
async function listeningPort(child: ChildProcess): Promise<number> {
  if (child.stdout === null) throw new Error('the webhook has no output')
  for await (const line of createInterface({ input: child.stdout })) {
    const entry = jsonOf(line)
    const port = isObject(entry) && entry['msg'] === 'webhook listening' ? entry['port'] : undefined
    if (typeof port === 'number') {
      child.stdout.resume()
      return port
    }
  }
  throw new Error('the webhook ended before it listened')
}

function post(port: number, ca: string, body: Json): Promise<Json> {
  return new Promise((resolve, reject) => {
    const text = JSON.stringify(body)
    const call = request(
      {
        ...{ host: '127.0.0.1', port, path: '/inject', method: 'POST', ca, agent: false },
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      },
      (response) => {
        let answer = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (answer += chunk))
        response.on('end', () => {
          resolve(jsonOf(answer))
        })
      },
    )
    call.on('error', reject)
    call.end(text)
  })
}

function patchInWords(patch: Json | undefined): readonly string[] {
  const operations =
    typeof patch === 'string' ? jsonOf(Buffer.from(patch, 'base64').toString()) : []
  if (!isArray(operations)) return []
  return operations.filter(isObject).map((operation) => {
    const value = operation['value'] ?? null
    const name = isObject(value) && typeof value['name'] === 'string' ? ` (${value['name']})` : ''
    const count = isArray(value) ? ` (${names(value).join(', ')})` : ''
    return `${shown(operation['op']).padEnd(7)} ${shown(operation['path'])}${name}${count}`
  })
}

/** Part three: the rules, for a machine with one IPv4 address. */
function showRules(pod: JsonObject): void {
  say(bold('3. istio-init: the iptables rules (nat table, IPv4) that its arguments ask for'))
  const init = list(read(pod, ['spec', 'initContainers'])).filter(isObject)[0]
  const args = list(init?.['args']).filter((arg) => typeof arg === 'string')
  say(`   ${args.map((arg) => (arg === '' ? "''" : arg)).join(' ')}`)
  const { options, look } = ok(readArgv(args, {}))
  const facts = { addresses: ['10.244.0.7/24'], resolvConf: 'nameserver 10.96.0.10\n', users: {} }
  const site = ok(readSite(facts, { ...options, linkLocalCounts: look.profile === '1.8' }))
  for (const step of stepsFor(buildPlan(options, site, look), 'v4')) {
    say(`   ${printStep(step).padEnd(84)} # ${step.rule.why}`)
  }
}

function podTemplate(deployment: Json): JsonObject {
  const found = isObject(deployment) ? read(deployment, ['spec', 'template']) : undefined
  if (!isObject(found)) throw new Error(`${example} has no pod template`)
  return found
}

function labelsOf(pod: JsonObject): JsonObject {
  const labels = read(pod, ['metadata', 'labels'])
  return isObject(labels) ? labels : {}
}

function read(value: JsonObject, path: readonly string[]): Json | undefined {
  return path.reduce<Json | undefined>((at, step) => (isObject(at) ? at[step] : undefined), value)
}

function list(value: Json | undefined): readonly Json[] {
  return isArray(value) ? value : []
}

function names(value: Json | undefined): readonly string[] {
  return list(value).flatMap((item) =>
    isObject(item) && typeof item['name'] === 'string' ? [item['name']] : [],
  )
}

function keys(value: Json | undefined): readonly string[] {
  return value !== undefined && isObject(value) ? Object.keys(value) : []
}

function jsonOf(text: string): Json {
  const read = readYaml('answer', text)
  return read.ok ? read.value : null
}

function shown(value: Json | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function ok<T>(outcome: Read<T>): T {
  if (!outcome.ok) throw new Refusal(outcome.problems)
  return outcome.value
}
