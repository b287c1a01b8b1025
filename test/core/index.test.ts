import t from 'tap'
import * as library from '../../core/index.ts'

t.test('the library injects and builds rules with what it exports', async (t) => {
  const config = library.readInjectConfig({
    istioVersion: 'current',
    revision: '',
    digest: () => 'd',
  })
  if (!config.ok) throw new Error('the built-in configuration is refused')
  const decision = library.injectPod(
    {
      pod: { spec: { containers: [{ name: 'app', image: 'app:1' }] } },
      owner: library.ownerOf({ name: 'app' }),
      nativeSidecars: false,
      door: 'webhook',
      namespace: 'n',
      proxyEnvs: {},
    },
    config.value,
  )
  if (decision.kind !== 'inject') throw new Error(decision.kind)
  const args = decision.pod.spec?.initContainers?.[0]?.args ?? []
  const request = library.readArgv(args, {})
  if (!request.ok) throw new Error('the init container refuses its own arguments')
  const { options, look } = request.value
  const facts = { addresses: ['10.0.0.9/24'], users: {} }
  const site = library.readSite(facts, { ...options, linkLocalCounts: false })
  if (!site.ok) throw new Error('no site')
  const text = library.printRestore(
    library.stepsFor(library.buildPlan(options, site.value, look), 'v4'),
  )
  t.match(text, '-A ISTIO-OUTPUT -j ISTIO-REDIRECT')
  t.equal(library.readRestore(text).ok, true)
})
