/** What docs/guides/cni.md tells people to write is read as it says. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SETTINGS } from '../../cni-plugin/install/table.ts'
import { CODES } from '../../cni-plugin/codes.ts'
import { injectPod } from '../../core/inject/inject.ts'
import { LONGEST_PLAN } from '../../core/options/redirect-plan-read.ts'
import { configOf, requestFor } from '../support/config.ts'

const guide = readFileSync(join(import.meta.dirname, '../../docs/guides/cni.md'), 'utf8')

t.test('the values switch CNI mode and the plan on', async (t) => {
  const [, values = ''] = /```yaml\n(pilot:[^`]*)```/.exec(guide) ?? []
  const pod = { metadata: { name: 'a' }, spec: { containers: [{ name: 'app', image: 'app' }] } }
  const decision = injectPod(requestFor(pod), configOf({ values }))
  if (decision.kind !== 'inject') throw new Error(decision.kind)
  t.strictSame(
    decision.pod.spec?.initContainers?.map(({ name }) => name),
    ['istio-validation'],
  )
  t.ok(decision.pod.metadata?.annotations?.['sidecar-injector.io/redirect-plan'])
})

t.test('settings, codes and limits are those of the code', async (t) => {
  const known: readonly string[] = SETTINGS.map(({ env }) => env)
  const named = [...guide.matchAll(/`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`/g)].map(
    ([, name = '']) => name,
  )
  const others = ['NET_ADMIN']
  t.strictSame(
    named.filter((name) => !known.includes(name) && !others.includes(name)),
    [],
  )
  t.strictSame([CODES.noAnnotations.code, CODES.annotation.code, CODES.tools.code], [106, 104, 101])
  t.ok(guide.includes(`${LONGEST_PLAN} characters`))
})
