/** Guard 3: the validation refuses a pod whose redirect plan is not the one that injection wrote. */
import { createHash } from 'node:crypto'
import t from 'tap'
import { readArgv, type RunOptions } from '../../core/options/argv.ts'
import { injectPod } from '../../core/inject/inject.ts'
import { checkGuard } from '../../iptables-init/guard.ts'
import { main } from '../../iptables-init/main.ts'
import { configOf, requestFor } from '../support/config.ts'

const KEY = 'sidecar-injector.io/redirect-plan'
const TEXT = 'SIDECAR_REDIRECT_PLAN'
const DIGEST = 'SIDECAR_REDIRECT_PLAN_SHA256'

/** What injection put into a pod: the annotation, and the validation's command line and environment. */
function injected(): {
  readonly text: string
  readonly args: readonly string[]
  readonly digest: string
} {
  const values = '{"pilot":{"cni":{"enabled":true}},"sidecarInjector":{"cniAnnotation":true}}'
  const pod = { metadata: { name: 'a' }, spec: { containers: [{ name: 'app', image: 'app' }] } }
  const decision = injectPod(requestFor(pod), configOf({ values }))
  if (decision.kind !== 'inject') throw new Error(decision.kind)
  const [validation] = decision.pod.spec?.initContainers ?? []
  const env = validation?.env ?? []
  return {
    text: decision.pod.metadata?.annotations?.[KEY] ?? '',
    args: validation?.args ?? [],
    digest: env.find(({ name }) => name === DIGEST)?.value ?? '',
  }
}

function runOptions(env: Readonly<Record<string, string>>): RunOptions {
  const read = readArgv([], env)
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  return read.value.run
}

const { text, args, digest } = injected()

const rows = [
  { who: 'as it was written', env: { [TEXT]: text, [DIGEST]: digest }, says: undefined },
  { who: 'no guard', env: {}, says: undefined },
  { who: 'no guard, but a plan', env: { [TEXT]: 'anything' }, says: undefined },
  { who: 'removed', env: { [DIGEST]: digest }, says: /redirect-plan is gone, want [0-9a-f]{64}/ },
  { who: 'emptied', env: { [TEXT]: '', [DIGEST]: digest }, says: /is gone/ },
  {
    who: 'edited',
    env: { [TEXT]: text.replace('"cni"', '"none"'), [DIGEST]: digest },
    says: /has SHA-256 [0-9a-f]{64}, want/,
  },
  { who: 'a space more', env: { [TEXT]: `${text} `, [DIGEST]: digest }, says: /has SHA-256/ },
  { who: 'a digest that is none', env: { [TEXT]: text, [DIGEST]: 'x' }, says: /want x/ },
] as const

t.test('what the guard finds', async (t) => {
  t.equal(digest, createHash('sha256').update(text).digest('hex'))
  for (const { who, env, says } of rows) {
    const found = checkGuard(runOptions(env))
    if (says === undefined) t.strictSame(found, [], who)
    else t.match(found[0], says, who)
  }
})

t.test('exit status 126, before a connection is made', async (t) => {
  const folder = t.testdir({
    facts: JSON.stringify({ addresses: ['10.1.2.3'], resolv_conf: '', users: {} }),
  })
  const log: string[] = []
  const streams = { out: () => undefined, log: (line: string) => void log.push(line) }
  const argv = [...args, '--host-facts', `${folder}/facts`]
  const status = await main(argv, { [TEXT]: text.replace('15001', '1'), [DIGEST]: digest }, streams)
  t.equal(status, 126)
  t.match(log.join('\n'), /workload is not ready for the mesh\.\n- annotation sidecar-injector\.io/)
  t.notMatch(log.join('\n'), /did not reach|captured on/)
})
