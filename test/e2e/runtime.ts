/** A real container runtime: containerd with its CRI, in a private place (runtime-place.ts). */
import { execa } from 'execa'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isObject, type JsonObject } from '../../core/json.ts'
import { writeImage, type Image } from './runtime-image.ts'
import { assets, PLACE } from './runtime-place.ts'
import type { Supervised } from './supervised.ts'
import { until } from './until.ts'

/** The image of every sandbox. */
export const PAUSE_IMAGE = 'images.test/pause:1'
/** Path of the CRI in the place. */
export const SOCKET = '/run/containerd/containerd.sock'
/** The network that the bridge plugin makes; the node has the first address of each. */
export const NETWORK = { v4: '10.88.0.0/16', node: '10.88.0.1', v6: 'fd25:88::/64' } as const

/** A running containerd. */
export type Runtime = {
  /** Calls a method of the CRI, such as `RuntimeService/RunPodSandbox`. Rejects with the runtime's words. */
  readonly call: (method: string, request: JsonObject) => Promise<JsonObject>
  readonly addImage: (image: Image) => Promise<void>
}

/** What a node of a test is made of. */
export type RuntimeOptions = {
  readonly processes: Supervised
  /** Folders with CNI plugins, ours among them. */
  readonly pluginFolders: readonly string[]
  /** Plugins after `bridge` in the list, as they stand in a conflist. */
  readonly chained: readonly JsonObject[]
  /** Environment of the runtime, which its plugins inherit. */
  readonly env?: Readonly<Record<string, string>>
}

/** Starts containerd with one network and waits until its CRI says that it is ready. */
export async function startRuntime(options: RuntimeOptions): Promise<Runtime> {
  const { processes, chained, env = {} } = options
  const [networks, config] = [join(PLACE, 'net.d'), join(PLACE, 'containerd.toml')]
  await mkdir(networks)
  await writeFile(join(networks, '10-pods.conflist'), JSON.stringify(conflist(chained)))
  await writeFile(config, containerdConfig([...options.pluginFolders, assets()], networks))
  const path = `${assets()}:${process.env['PATH'] ?? ''}`
  processes.start('containerd', join(assets(), 'containerd'), ['--config', config], {
    ...env,
    PATH: path,
  })
  const explain = async (): Promise<string> => (await processes.log('containerd')).slice(-4000)
  const ctr = (args: readonly string[]) =>
    execa(join(assets(), 'ctr'), ['--address', SOCKET, '--namespace', 'k8s.io', ...args])
  const addImage = async (image: Image): Promise<void> => {
    const archive = await writeImage(PLACE, image)
    await ctr(['images', 'import', '--local', archive])
  }
  const call = async (method: string, request: JsonObject): Promise<JsonObject> => {
    const input = JSON.stringify(request)
    const { stdout } = await execa(join(assets(), 'cri'), [SOCKET, method], { input })
    const answer: unknown = JSON.parse(stdout)
    if (!isObject(answer)) throw new Error(`${method}: got ${stdout}, want an object`)
    return answer
  }
  await until(
    'readiness of containerd',
    async () => {
      const how = processes.exited('containerd')
      if (how !== undefined) throw new Error(`containerd: got ${how}. ${await explain()}`)
      const status = await call('RuntimeService/Status', {}).catch(() => ({}))
      return JSON.stringify(status).includes('"NetworkReady","status":true') ? true : undefined
    },
    explain,
  )
  await addImage({
    name: PAUSE_IMAGE,
    files: { '/stand-in': join(assets(), 'stand-in') },
    entrypoint: ['/stand-in', 'pause'],
  })
  return { call, addImage }
}

function conflist(chained: readonly JsonObject[]): JsonObject {
  const range = (subnet: string): readonly JsonObject[] => [{ subnet }]
  const bridge = {
    type: 'bridge',
    bridge: 'pods0',
    isGateway: true,
    ipam: {
      type: 'host-local',
      dataDir: join(PLACE, 'addresses'),
      ranges: [range(NETWORK.v4), range(NETWORK.v6)],
      routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
    },
  }
  return { cniVersion: '1.1.0', name: 'pods', plugins: [bridge, ...chained] }
}

function containerdConfig(pluginFolders: readonly string[], networks: string): string {
  const texts = (list: readonly string[]): string =>
    `[${list.map((text) => `'${text}'`).join(', ')}]`
  // These would write outside the place, or need what a test machine may not have.
  const disabled = ['io.containerd.internal.v1.opt', 'io.containerd.nri.v1.nri']
  return `
version = 3
root = '${PLACE}/containerd'
state = '/run/containerd'
disabled_plugins = ${texts(disabled)}
[grpc]
  address = '${SOCKET}'
[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = '${PAUSE_IMAGE}'
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ${texts(pluginFolders)}
    conf_dir = '${networks}'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = '${join(assets(), 'without-cgroups')}'
`
}
