import { writeFileSync } from 'node:fs'
import {
  AGENT_XDS_PIPE,
  buildDiscovered,
  buildStandalone,
  type Discovery,
} from '../core/bootstrap/bootstrap.ts'
import { readProxy } from '../core/bootstrap/from-pod.ts'
import { readServices } from '../core/bootstrap/read-services.ts'
import { INTERCEPTION_MODE_ANNOTATION } from '../core/constants.ts'
import type { InjectConfig } from '../core/inject/config.ts'
import { injectPod } from '../core/inject/inject.ts'
import type { JsonObject } from '../core/json.ts'
import type { Pod } from '../core/k8s.ts'
import { bad, good, Refusal, type Read } from '../core/problem.ts'
import { readConfig } from '../kube-inject/config.ts'
import type { BootstrapFlags } from './bootstrap-command.ts'
import { choosePod, podsOf, readManifests } from './manifests.ts'

/** The whole command: reads, builds, writes. Throws a Refusal. */
export async function printBootstrap(flags: BootstrapFlags): Promise<void> {
  const text = `${JSON.stringify(await makeBootstrap(flags), null, 2)}\n`
  if (flags.output === undefined) process.stdout.write(text)
  else writeFileSync(flags.output, text)
}

/** Envoy's configuration as the flags ask for it. Throws a Refusal. */
async function makeBootstrap(flags: BootstrapFlags): Promise<JsonObject> {
  const { istioVersion, meshConfigFile } = flags
  const config = await readConfig(
    {
      revision: '',
      istioVersion,
      ...(meshConfigFile !== undefined && { meshConfigFile }),
    },
    process.env,
  )
  const manifests = await readManifests(flags.filename)
  const pod = named(
    manifests.length === 0
      ? barePod(flags, config)
      : ok(choosePod(podsOf(manifests, flags.namespace), flags.pod)),
    flags.name,
  )
  const proxy = ok(readProxy(pod, config.mesh, { addresses: flags.podIp }))
  if (flags.xds !== undefined) return buildDiscovered(proxy, ok(readDiscovery(flags.xds)))
  return buildStandalone(proxy, ok(readServices(manifests, proxy.ports)))
}

/** A pod with nothing but what injection puts into it. */
function barePod({ name, namespace, interceptionMode }: BootstrapFlags, config: InjectConfig): Pod {
  const annotations =
    interceptionMode === undefined ? {} : { [INTERCEPTION_MODE_ANNOTATION]: interceptionMode }
  const metadata = { name: name ?? 'app', namespace: namespace ?? 'default', annotations }
  const decision = injectPod(
    {
      pod: { metadata, spec: { containers: [{ name: 'app', image: 'app' }] } },
      owner: { apiVersion: 'v1', kind: 'Pod', name: metadata.name },
      nativeSidecars: false,
      door: 'kube-inject',
      proxyEnvs: {},
    },
    config,
  )
  if (decision.kind === 'inject') return decision.pod
  throw new Error(`a bare pod was not injected: ${decision.kind}`)
}

function named(pod: Pod, name: string | undefined): Pod {
  return name === undefined ? pod : { ...pod, metadata: { ...pod.metadata, name } }
}

/** `--xds` alone is the agent's socket; otherwise a path, or `host:port`. */
function readDiscovery(given: string | true): Read<Discovery> {
  if (given === true) return good({ kind: 'pipe', path: AGENT_XDS_PIPE })
  const [, path] = /^(?:unix:)?(\.{0,2}\/.*)$/.exec(given) ?? []
  if (path !== undefined) return good({ kind: 'pipe', path })
  const [, host, bracketed, port] =
    /^(?:([A-Za-z0-9.-]+)|\[([0-9A-Fa-f:.]+)\]):(\d{1,5})$/.exec(given) ?? []
  const address = host ?? bracketed
  const number = Number(port)
  return address === undefined || number < 1 || number > 65535
    ? bad('--xds', given, 'host:port, or the path of a socket')
    : good({ kind: 'server', at: { address, port: number } })
}

function ok<T>(outcome: Read<T>): T {
  if (!outcome.ok) throw new Refusal(outcome.problems)
  return outcome.value
}
