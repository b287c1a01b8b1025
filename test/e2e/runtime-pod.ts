/** Pods of a test, run through the CRI as a kubelet does it. */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isArray, isObject, type JsonObject } from '../../core/json.ts'
import { PLACE } from './runtime-place.ts'
import type { Runtime } from './runtime.ts'
import type { Supervised } from './supervised.ts'
import { until } from './until.ts'

/** The image whose one program listens and calls (test/tools/runtime/stand-in). */
export const STAND_IN = 'images.test/stand-in:1'

/** One container of a pod; `args` go to the image's entrypoint. */
export type Container = {
  readonly name: string
  readonly args: readonly string[]
  readonly uid: number
}

/** A pod whose sandbox stands. */
export type Pod = {
  readonly id: string
  /** Its addresses, IPv4 first. */
  readonly addresses: readonly string[]
  readonly start: (container: Container) => Promise<void>
  /** What a container printed, one JSON object a line. */
  readonly lines: (container: string) => Promise<readonly JsonObject[]>
  /** Stops and removes it, as a kubelet does: twice, each. */
  readonly end: () => Promise<void>
}

/** Makes a sandbox. Rejects with what the runtime says, the plugin's message in it. */
export async function runPod(
  runtime: Runtime,
  name: string,
  annotations: Readonly<Record<string, string>>,
): Promise<Pod> {
  const config = {
    metadata: { name, namespace: 'shop', uid: randomUUID(), attempt: 0 },
    annotations,
    log_directory: join(PLACE, 'logs', name),
    linux: {},
  }
  const answer = await runtime.call('RuntimeService/RunPodSandbox', { config })
  const id = textOf(answer['podSandboxId'])
  const { status } = await runtime.call('RuntimeService/PodSandboxStatus', { pod_sandbox_id: id })
  const network = isObject(status) && isObject(status['network']) ? status['network'] : {}
  const more = isArray(network['additionalIps']) ? network['additionalIps'] : []
  const addresses = [network, ...more].map((one) => (isObject(one) ? textOf(one['ip']) : ''))
  return {
    id,
    addresses,
    start: async (container) => {
      const { containerId } = await runtime.call('RuntimeService/CreateContainer', {
        pod_sandbox_id: id,
        sandbox_config: config,
        config: containerConfig(container),
      })
      await runtime.call('RuntimeService/StartContainer', { container_id: textOf(containerId) })
    },
    lines: (container) => readLines(join(config.log_directory, `${container}.log`)),
    end: async () => {
      for (const method of [
        'StopPodSandbox',
        'StopPodSandbox',
        'RemovePodSandbox',
        'RemovePodSandbox',
      ])
        await runtime.call(`RuntimeService/${method}`, { pod_sandbox_id: id })
    },
  }
}

/** What a container wrote to standard output, from the log file that the CRI describes. */
export async function readLines(path: string): Promise<readonly JsonObject[]> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text.split('\n').flatMap((line) => {
    // TIME STREAM F TEXT; a line of ours is never so long that it comes in parts.
    const found = /^\S+ stdout F (\{.*\})$/.exec(line)?.[1]
    if (found === undefined) return []
    const value: unknown = JSON.parse(found)
    return isObject(value) ? [value] : []
  })
}

/** What a program that was started beside the pods printed, one JSON object a line. */
export async function printedBy(
  processes: Supervised,
  name: string,
): Promise<readonly JsonObject[]> {
  const lines = (await processes.log(name)).split('\n').filter((line) => line.endsWith('}'))
  return lines.map((line): unknown => JSON.parse(line)).filter(isObject)
}

/** Waits until a line says that a call of the address ended, and gives who answered, or the error. */
export async function answerOf(
  address: string,
  lines: () => Promise<readonly JsonObject[]>,
): Promise<string> {
  return until(`a call of ${address}`, async () => {
    const said = (await lines()).filter(({ call }) => call === address)
    // The first call may come before the listener is there.
    const { event } = said.find(({ event }) => isObject(event)) ?? {}
    if (isObject(event)) return `${textOf(event['by'])} ${textOf(event['to'])}`.trim()
    return said.length >= 5 ? textOf(said.at(-1)?.['error']) : undefined
  })
}

function containerConfig({ name, args, uid }: Container): JsonObject {
  return {
    metadata: { name, attempt: 0 },
    image: { image: STAND_IN },
    args,
    log_path: `${name}.log`,
    linux: {
      security_context: {
        run_as_user: { value: uid },
        run_as_group: { value: uid },
        namespace_options: { pid: 'CONTAINER' },
      },
    },
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
