/** A real kubelet beside a control plane and a container runtime, in one private place (runtime-place.ts). */
import { execa } from 'execa'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Json } from '../../core/json.ts'
import type { ControlPlane } from './control-plane.ts'
import { at, listAt, textAt } from './objects.ts'
import { assets, PLACE } from './runtime-place.ts'
import { SOCKET } from './runtime.ts'
import { until } from './until.ts'

/** Name of the node. */
export const NODE = 'node-1'
/** Folder with the logs of all containers: NAMESPACE_POD_UID/CONTAINER/0.log. */
export const LOGS = join(PLACE, 'pods')
/** The node's address, which must not be the loopback's. */
const NODE_ADDRESS = '10.89.0.1'

/** What a kubelet writes into the kernel's settings: the whole machine's, unless a file lies over each. */
const KERNEL_SETTINGS = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
} as const

/** Starts it and waits until its node is ready. */
export async function startKubelet({
  processes,
  kubeconfigPath,
  request,
}: ControlPlane): Promise<void> {
  for (const [name, value] of Object.entries(KERNEL_SETTINGS)) {
    const file = join(PLACE, name.replaceAll('/', '-'))
    await writeFile(file, `${value}\n`)
    await execa('mount', ['--bind', file, `/proc/sys/${name}`])
  }
  await execa('ip', ['link', 'add', 'node0', 'type', 'bridge'])
  await execa('ip', ['address', 'add', `${NODE_ADDRESS}/24`, 'dev', 'node0'])
  await execa('ip', ['link', 'set', 'node0', 'up'])
  const folder = join(PLACE, 'kubelet')
  await mkdir(folder)
  const config = join(PLACE, 'kubelet.json')
  await writeFile(config, JSON.stringify(configuration(folder)))
  processes.start('kubelet', join(assets(), 'kubelet'), [
    ...[`--config=${config}`, `--kubeconfig=${kubeconfigPath}`, `--hostname-override=${NODE}`],
    ...[`--root-dir=${folder}`, `--cert-dir=${join(folder, 'pki')}`, `--node-ip=${NODE_ADDRESS}`],
  ])
  const explain = async (): Promise<string> => (await processes.log('kubelet')).slice(-4000)
  await until(
    'readiness of the node',
    async () => {
      const how = processes.exited('kubelet')
      if (how !== undefined) throw new Error(`kubelet: got ${how}. ${await explain()}`)
      const { body } = await request('GET', `/api/v1/nodes/${NODE}`)
      const conditions = listAt(body, 'status', 'conditions')
      const ready = conditions.find((condition) => textAt(condition, 'type') === 'Ready')
      return at(ready, 'status') === 'True' ? true : undefined
    },
    explain,
  )
}

/** Everything that needs control groups or a disk of its own is off. */
function configuration(folder: string): Json {
  const thresholds = [
    'memory.available',
    'nodefs.available',
    'nodefs.inodesFree',
    'imagefs.available',
  ]
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    cgroupDriver: 'cgroupfs',
    cgroupsPerQOS: false,
    containerRuntimeEndpoint: `unix://${SOCKET}`,
    enforceNodeAllocatable: [],
    evictionHard: Object.fromEntries(thresholds.map((name) => [name, '0%'])),
    failCgroupV1: false,
    failSwapOn: false,
    localStorageCapacityIsolation: false,
    oomScoreAdj: 0,
    podLogsDir: LOGS,
    registerNode: true,
    resolvConf: '',
    volumePluginDir: join(folder, 'plugins'),
  }
}
