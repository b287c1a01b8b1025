/** The warning for pods that their namespace will refuse. */
import t from 'tap'
import { podSecurityWarning, strictLevelOf } from '../../webhook/pod-security.ts'

t.test('levels that forbid NET_ADMIN', async (t) => {
  const rows = [
    [{ 'pod-security.kubernetes.io/enforce': 'restricted' }, 'restricted'],
    [{ 'pod-security.kubernetes.io/enforce': 'baseline' }, 'baseline'],
    [{ 'pod-security.kubernetes.io/enforce': 'privileged' }, undefined],
    [{ 'pod-security.kubernetes.io/warn': 'restricted' }, undefined],
    [{}, undefined],
  ] as const
  for (const [labels, level] of rows) t.equal(strictLevelOf({ labels }), level)
})

t.test('only what injection asks for is spoken of', async (t) => {
  const asking = { capabilities: { add: ['NET_ADMIN', 'NET_RAW'], drop: ['ALL'] } }
  const podWith = (init: string) => ({
    spec: {
      initContainers: [{ name: init, securityContext: asking }],
      containers: [{ name: 'istio-proxy', securityContext: { capabilities: { drop: ['ALL'] } } }],
    },
  })
  t.equal(
    podSecurityWarning(podWith('istio-init'), 'shop', 'baseline'),
    'namespace shop enforces PodSecurity baseline, which refuses istio-init with NET_ADMIN and NET_RAW: ' +
      'install the CNI plugin and set pilot.cni.enabled, so that pods need neither',
  )
  t.equal(podSecurityWarning(podWith('vpn'), 'shop', 'restricted'), undefined)
  t.equal(podSecurityWarning({}, 'shop', 'restricted'), undefined)
})
