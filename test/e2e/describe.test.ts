/** `describe NAMESPACE/POD`: the pod as a real API server has it, its network as this machine has it. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { isObject } from '../../core/json.ts'
import { makeLab } from '../../datapath/lab.ts'
import { inject } from '../../datapath/sidecar.ts'
import { kernelUnavailable } from '../iptables-init/lab.ts'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane } from './control-plane.ts'

const program = join(import.meta.dirname, '../../dist/cli/main.js')
const lacks = controlPlaneUnavailable() ?? kernelUnavailable()

t.test('a pod of a cluster', need(lacks), async (t) => {
  const controlPlane = await startControlPlane({ controllers: [] })
  t.teardown(() => controlPlane.stop())
  const namespace = '/api/v1/namespaces/default'
  await controlPlane.request('POST', `${namespace}/serviceaccounts`, {
    metadata: { name: 'default' },
  })
  const { pod } = inject({})
  const made = await controlPlane.request('POST', `${namespace}/pods`, {
    ...pod,
    spec: { ...pod.spec, nodeName: 'worker-7' },
  })
  t.equal(made.status, 201, JSON.stringify(made.body))
  const metadata = isObject(made.body) ? made.body['metadata'] : undefined
  const uid = isObject(metadata) ? JSON.stringify(metadata['uid']).slice(1, -1) : ''

  const lab = makeLab()
  t.teardown(() => lab.close())
  const host = () => ({ ns: { net: t.fixture('symlink', '/proc/1/ns/net') } })
  const process10 = {
    cgroup: `0::/kubepods/besteffort/pod${uid}/abc\n`,
    stat: `10 (app) S ${'0 '.repeat(18)}5 0 0`,
    ns: { net: t.fixture('symlink', lab.netns('pod')) },
  }
  const proc = t.testdir({ here: { '1': host(), '10': process10 }, away: { '1': host() } })
  const rows = [
    {
      who: 'on this machine',
      words: ['default/web-0', '--proc', join(proc, 'here')],
      want: {
        status: 1,
        stdout: /^the rules are missing: the arguments of its container istio-init/,
      },
    },
    {
      who: 'on another machine',
      words: ['default/web-0', '--proc', join(proc, 'away')],
      want: {
        status: 2,
        stdout: /^pod default\/web-0 is not on this machine .* on node worker-7;/,
      },
    },
    {
      who: 'nowhere',
      words: ['default/web-1'],
      want: { status: 2, stderr: /^NAMESPACE\/POD: got "default\/web-1", want a pod that the API/ },
    },
    {
      who: 'a workload',
      words: ['default/deployment/web'],
      want: { status: 2, stderr: /want a pod: a workload has no network of its own$/m },
    },
  ]
  for (const { who, words, want } of rows) {
    const args = [program, 'describe', ...words, '--kubeconfig', controlPlane.kubeconfigPath]
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    t.match({ status, stdout, stderr }, want, who)
  }
})
