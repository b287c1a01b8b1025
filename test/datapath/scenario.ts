/** What every test of the data path starts from: an injected pod with a real Envoy in the lab. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Family } from '../../core/cidrs.ts'
import type { JsonObject } from '../../core/json.ts'
import { readerOf } from '../../datapath/counters.ts'
import { findEnvoy, lend } from '../../datapath/envoy.ts'
import { AT, makeLab, ROOT, type Lab, type Started, type Who } from '../../datapath/lab.ts'
import { untilListening } from '../../datapath/listening.ts'
import { makeObserver, type Maker, type Observed, type Request } from '../../datapath/observe.ts'
import { APP } from '../../datapath/programs.ts'
import {
  APP_USER,
  inject,
  runInit,
  startAgent,
  startProxy,
  type Injected,
  type Injection,
  type Running,
} from '../../datapath/sidecar.ts'
import { buildProgram, kernelUnavailable } from '../iptables-init/lab.ts'

/** Envoy among the test tools, or the one that the machine has. */
export const ENVOY = findEnvoy(
  process.env['KUBEBUILDER_ASSETS'] === undefined
    ? undefined
    : join(process.env['KUBEBUILDER_ASSETS'], 'envoy'),
)

/** Why these tests cannot run here; undefined when they can. */
export function datapathUnavailable(): string | undefined {
  const lacks = kernelUnavailable()
  if (lacks !== undefined) return lacks
  if (ENVOY === undefined || spawnSync(ENVOY, ['--version']).status !== 0) {
    return 'needs envoy: KUBEBUILDER_ASSETS from scripts/test-tools.mjs, ENVOY, or one in PATH'
  }
  return undefined
}

/** Envoy 1.40's own check of a configuration: nothing when it accepts it. */
export function refusalOf(config: string): string | undefined {
  const args = ['--mode', 'validate', '--disable-hot-restart', '-l', 'error', '-c', config]
  const { status, stderr } = spawnSync(ENVOY ?? 'envoy', args, { encoding: 'utf8' })
  return status === 0 ? undefined : stderr
}

/** How a scenario differs from the ordinary one. */
export type Setup = {
  readonly injection?: Injection
  readonly families?: readonly Family[]
  readonly objects?: readonly JsonObject[]
  /** Further flags of the init container's program. */
  readonly flags?: readonly string[]
  readonly rules?: 'iptables' | 'native'
  /** Writes the rules in another way than the init container does. */
  readonly writeRules?: (lab: Lab, injected: Injected) => Promise<void>
  /** As whom Envoy runs, where it is not the injected user. */
  readonly who?: Who
  /** Most files that Envoy may open. */
  readonly mostFiles?: number
  /** Ports that the application listens on in the pod. */
  readonly appPorts?: readonly number[]
}

/** The scenario as it stands. */
export type Scenario = {
  readonly lab: Lab
  readonly injected: Injected
  readonly running: Running
  /** Sends a request and asserts that tracer, kernel counters and access log agree on it. */
  readonly send: (t: Test, name: string, request: Request, maker?: Maker) => Promise<Observed>
}

/** Where everybody logs; the documents' File 3. */
export const LOGGING = 'accessLogFile: /dev/stdout\n'

/** Ports of the servers outside the pod. */
const SERVER_PORTS = [80, 8080, 9000]

/** A file that every user may read: the init container's program, made once a test file. */
export async function initProgram(t: Test): Promise<string> {
  const { path, remove } = await buildProgram()
  t.teardown(remove)
  return path
}

/** Sets a scenario up with the init container's program at `program`; it goes away with the test. */
export async function setUp(t: Test, program: string, setup: Setup = {}): Promise<Scenario> {
  const {
    families = ['v4'],
    objects = [],
    rules = 'iptables',
    appPorts = [8080],
    who,
    mostFiles,
  } = setup
  const injected = inject({ mesh: LOGGING, ...setup.injection })
  const lab = makeLab()
  t.teardown(() => lab.close())
  if (setup.writeRules === undefined) {
    const { code, stderr } = await runInit(lab, program, injected, 'istio-init', setup.flags)
    t.strictSame({ code }, { code: 0 }, stderr.trim())
  } else await setup.writeRules(lab, injected)
  const apps = [
    startApp(lab, 'pod', 'app', appPorts),
    startApp(lab, 'server', 'server', SERVER_PORTS, AT.v4.server),
    startApp(lab, 'server', 'other', SERVER_PORTS, AT.v4.other),
    startApp(lab, 'server', 'server6', SERVER_PORTS, AT.v6.server),
  ]
  const how = {
    families,
    objects,
    ...(who !== undefined && { who }),
    ...(mostFiles !== undefined && { mostFiles }),
  }
  const running = await startProxy(lab, lend(lab, ENVOY ?? 'envoy', 'envoy'), injected, how)
  await startAgent(lab, injected, running)
  for (const [index, one] of apps.entries()) {
    await untilListening('app', one, index === 0 ? appPorts : SERVER_PORTS)
  }
  const observe = makeObserver({ lab, readRules: await readerOf(lab, rules), running })
  return {
    lab,
    injected,
    running,
    send: async (t, name, request, maker) => {
      const observed = await observe(request, maker)
      const { contradictions, lines } = observed
      t.strictSame(contradictions, [], `${name}: everybody agrees`, { lines })
      return observed
    },
  }
}

/** Starts an application that tells who it is and what it sees. In the pod it is uid 1000. */
function startApp(
  lab: Lab,
  place: 'pod' | 'server',
  name: string,
  ports: readonly number[],
  host = '::',
): Started {
  const user = place === 'pod' ? APP_USER : ROOT
  return lab.start(place, user, name, process.execPath, ['-e', APP, name, ports.join(','), host])
}
