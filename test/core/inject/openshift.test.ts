import t from 'tap'
import { clearAssignedIds, openShiftIds } from '../../../core/inject/openshift.ts'
import type { Pod } from '../../../core/k8s.ts'

const uids = 'openshift.io/sa.scc.uid-range'
const groups = 'openshift.io/sa.scc.supplemental-groups'

const ranges = [
  { what: 'start and size', annotations: { [uids]: '1000/10' }, want: { uid: 1009, gid: 1009 } },
  { what: 'start and end', annotations: { [uids]: '1000-1010' }, want: { uid: 1010, gid: 1010 } },
  {
    what: 'groups of their own, the first block',
    annotations: { [uids]: '1000/10', [groups]: '5000/5,6000/5' },
    want: { uid: 1009, gid: 5004 },
  },
  { what: 'no annotations', annotations: {}, want: { uid: 1337, gid: 1337 } },
  {
    what: 'a range that cannot be read',
    annotations: { [uids]: 'many', [groups]: '1/2' },
    want: { uid: 1337, gid: 2 },
  },
  {
    what: 'ids beyond what the API server takes',
    annotations: { [uids]: '4000000000/10' },
    want: { uid: 1337, gid: 1337 },
  },
]
for (const { what, annotations, want } of ranges) {
  t.test(what, async (t) => t.strictSame(openShiftIds(annotations), want))
}

const user = (name: string, runAsUser?: number) => ({
  name,
  securityContext: { privileged: false, ...(runAsUser !== undefined && { runAsUser }) },
})
const proxy = (runAsUser?: number) => ({
  name: 'istio-proxy',
  securityContext: { ...(runAsUser !== undefined && { runAsUser }), runAsGroup: 9 },
})
const bare = { name: 'istio-proxy', securityContext: {} }

const pods = [
  { what: 'the ids of the platform', containers: [user('app', 7), proxy(7)], cleared: true },
  { what: 'an own user', containers: [user('app', 7), proxy(8)], cleared: false },
  {
    what: 'the last of several, init containers after the others',
    containers: [user('app', 7), proxy(8)],
    initContainers: [user('setup', 8)],
    cleared: true,
  },
  {
    what: 'no user anywhere counts as the same',
    containers: [user('app'), proxy()],
    cleared: true,
  },
  {
    what: 'containers of injection are not asked',
    containers: [user('app', 7), proxy(8)],
    initContainers: [user('istio-init', 8), user('istio-validation', 8)],
    cleared: false,
  },
] as const
for (const { what, containers, cleared, ...rest } of pods) {
  t.test(what, async (t) => {
    const initContainers = 'initContainers' in rest ? [...rest.initContainers] : undefined
    const lists = { containers: [...containers], ...(initContainers && { initContainers }) }
    const pod: Pod = { metadata: { name: 'p' }, spec: lists }
    const before = JSON.stringify(pod)
    const after = clearAssignedIds(pod)
    t.equal(JSON.stringify(pod), before, 'the pod itself stays')
    const found = after.spec?.containers.find(({ name }) => name === 'istio-proxy')
    if (cleared) t.strictSame(found, bare)
    else t.equal(after, pod, 'nothing is copied')
    t.strictSame(after.spec?.containers[0], pod.spec?.containers[0], 'the application stays')
  })
}

t.test('a native proxy is cleared too', async (t) => {
  const spec = { containers: [user('app', 7)], initContainers: [proxy(7)] }
  t.strictSame(clearAssignedIds({ spec }).spec?.initContainers, [bare])
})

t.test('a pod without a proxy of its own stays', async (t) => {
  const pod: Pod = { spec: { containers: [user('app', 7)] } }
  t.equal(clearAssignedIds(pod), pod)
})
