/**
 * `npm run demo:datapath`: an injected pod in network namespaces, with our rules and a real Envoy. Shows the
 * way of every request. Needs root, Linux and an Envoy; leaves nothing behind, however it ends.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { INIT_CONTAINER } from '../core/constants.ts'
import { Refusal, type Problem } from '../core/problem.ts'
import { makeWhy } from '../core/rules/why.ts'
import { findProgram } from '../iptables-init/tools.ts'
import { readerOf } from './counters.ts'
import { findEnvoy, lend } from './envoy.ts'
import { AT, makeLab, ROOT, type Lab } from './lab.ts'
import { untilListening } from './listening.ts'
import { makeObserver } from './observe.ts'
import { drawMermaid, type Drawn } from './picture.ts'
import { APP } from './programs.ts'
import { APP_PORTS, DEMO_POD, REQUESTS, SERVER_PORTS, SERVICES } from './requests.ts'
import { showRequest } from './show.ts'
import { APP_USER, initContainer, inject, runInit, startAgent, startProxy } from './sidecar.ts'

const say = (line = ''): void => void process.stdout.write(`${line}\n`)

try {
  const { values } = parseArgs({
    options: { envoy: { type: 'string' }, picture: { type: 'string' } },
  })
  process.exitCode = await main(values.envoy, values.picture)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = isUsage(error) ? 2 : 1
}

async function main(envoy: string | undefined, picture: string | undefined): Promise<number> {
  const binary = findEnvoy(envoy)
  const problems = missing(binary, envoy)
  if (binary === undefined || problems.length > 0) {
    throw new Refusal(problems)
  }
  const lab = makeLab()
  const interrupted = onSignal(async (signal) => {
    await lab.close()
    process.stderr.write(`${signal}: the namespaces and all that ran in them are gone\n`)
  })
  try {
    const drawn = await demonstrate(lab, binary)
    show(drawn, picture)
    const disagree = drawn.filter(({ observed }) => observed.contradictions.length > 0)
    return disagree.length === 0 ? 0 : 1
  } catch (error) {
    // What fails because everything was taken away is no news.
    await interrupted.ifAny()
    throw error
  } finally {
    await interrupted.ifAny()
    await lab.close()
  }
}

/** What this machine lacks. */
function missing(binary: string | undefined, named: string | undefined): readonly Problem[] {
  const problems: Problem[] = []
  if (process.platform !== 'linux') {
    return [{ path: 'platform', got: process.platform, want: 'linux: network namespaces' }]
  }
  if (process.getuid?.() !== 0) {
    const got = `uid ${process.getuid?.() ?? ''}`
    problems.push({ path: 'user', got, want: 'root: it makes network namespaces (sudo -E)' })
  }
  for (const tool of ['ip', 'nsenter', 'setpriv', 'iptables']) {
    if (findProgram(tool, process.env['PATH']) !== undefined) continue
    const want = `${tool} (Debian: apt-get install iproute2 iptables util-linux)`
    problems.push({ path: 'PATH', got: process.env['PATH'] ?? '', want })
  }
  if (binary === undefined || spawnSync(binary, ['--version']).status !== 0) {
    const want = 'an Envoy that starts: --envoy FILE, ENVOY=FILE, or envoy in PATH'
    problems.push({ path: '--envoy', got: named ?? process.env['ENVOY'] ?? '', want })
  }
  return problems
}

async function demonstrate(lab: Lab, binary: string): Promise<readonly Drawn[]> {
  const injected = inject(DEMO_POD)
  const init = initContainer(injected, INIT_CONTAINER)
  say(`Namespaces ${lab.id}-client, -pod, -server, and -node between them.`)
  say('The pod is injected; its init container gets these arguments:')
  say(
    `   ${(init.args ?? []).map((arg) => (/^[\w./=,:-]+$/.test(arg) ? arg : `'${arg}'`)).join(' ')}`,
  )
  const written = await runInit(lab, join(import.meta.dirname, '../istio-iptables.cjs'), injected)
  if (written.code !== 0)
    throw new Error(`istio-init ended with ${written.code}: ${written.stderr}`)
  say('It ran in the namespace of the pod, with NET_ADMIN and NET_RAW and nothing else:')
  say(`   ${written.stderr.trim()}`)
  const servers = startServers(lab)
  const envoy = lend(lab, binary, 'envoy')
  const running = await startProxy(lab, envoy, injected, { objects: SERVICES })
  await startAgent(lab, injected, running)
  for (const [name, ports, started] of servers) await untilListening(name, started, ports)
  say(`Envoy runs as uid 1337 (pid ${running.envoy.pid}), the application as uid 1000.`)
  const readRules = await readerOf(lab, 'iptables')
  const observe = makeObserver({ lab, readRules, running })
  const why = makeWhy()
  const drawn: Drawn[] = []
  for (const [index, { title, request }] of REQUESTS.entries()) {
    const observed = await observe(request)
    say()
    say(`${index + 1}. ${title}`)
    process.stdout.write(showRequest(observed, why))
    drawn.push({ title, observed })
  }
  return drawn
}

function startServers(
  lab: Lab,
): readonly (readonly [string, readonly number[], ReturnType<Lab['start']>])[] {
  const start = (place: 'pod' | 'server', name: string, ports: readonly number[], at: string) => {
    const who = place === 'pod' ? APP_USER : ROOT
    const args = ['-e', APP, name, ports.join(','), at]
    return [name, ports, lab.start(place, who, name, process.execPath, args)] as const
  }
  return [
    start('pod', 'application', APP_PORTS, '::'),
    start('server', 'server', SERVER_PORTS, AT.v4.server),
    start('server', 'other', SERVER_PORTS, AT.v4.other),
  ]
}

function show(drawn: readonly Drawn[], file: string | undefined): void {
  const picture = drawMermaid(drawn)
  say()
  if (file !== undefined) {
    writeFileSync(file, picture)
    say(`The same as a picture: ${file} (Mermaid)`)
    return
  }
  say('The same as a picture (Mermaid):')
  say()
  process.stdout.write(picture)
}

/** Cleans up on the first signal and ends with the status that a shell expects. */
function onSignal(clean: (signal: string) => Promise<void>): { ifAny: () => Promise<void> } {
  let cleaning: Promise<void> | undefined
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.on(signal, () => {
      cleaning ??= clean(signal).then(() => process.exit(status))
    })
  }
  return { ifAny: async () => cleaning }
}

function isUsage(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS')
}
