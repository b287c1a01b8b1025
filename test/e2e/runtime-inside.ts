/** The tests of runtime.test.ts, inside their private place: no API server, no kubelet, no credentials. */
import { execa } from 'execa'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ANNOTATIONS_CAPABILITY } from '../../cni-plugin/netconf.ts'
import { PLUGIN_TYPE } from '../../cni-plugin/options.ts'
import { PROXY_ID } from '../../core/constants.ts'
import { annotationsWith, PLAN_KEY, SOURCE_KEY } from '../cni-plugin/plugin.ts'
import { answerOf, printedBy, runPod, STAND_IN, type Pod } from './runtime-pod.ts'
import { assets, PLACE, settle } from './runtime-place.ts'
import { NETWORK, startRuntime, type Runtime } from './runtime.ts'
import { supervise, type Supervised } from './supervised.ts'

const APP_UID = 1000
/** Nobody has this address (RFC 5737): only who is captured gets an answer. */
const NOWHERE = '192.0.2.7:80'
const SERVED = `${NETWORK.node}:9080`

/** As a kubelet hands over an injected pod. */
const injected = annotationsWith()
const plan = injected[PLAN_KEY] ?? ''

type Place = { readonly runtime: Runtime; readonly processes: Supervised; readonly runDir: string }

async function captured(t: Test, { runtime, processes, runDir }: Place): Promise<void> {
  const pod = await runPod(runtime, 'captured', injected)
  t.teardown(() => pod.end())
  await pod.start({ name: 'proxy', args: ['proxy'], uid: PROXY_ID })
  await pod.start({ name: 'app', args: ['call', NOWHERE, SERVED], uid: APP_UID })
  await pod.start({ name: 'own', args: ['call', SERVED], uid: PROXY_ID })
  const [v4 = ''] = pod.addresses
  const inward = `${v4}:8080`
  processes.start('outside', join(assets(), 'stand-in'), ['call', inward])
  const app = () => pod.lines('app')
  t.strictSame(
    {
      nowhere: await answerOf(NOWHERE, app),
      served: await answerOf(SERVED, app),
      own: await answerOf(SERVED, () => pod.lines('own')),
      inward: await answerOf(inward, () => printedBy(processes, 'outside')),
    },
    {
      nowhere: `outbound ${NOWHERE}`,
      served: `outbound ${SERVED}`,
      own: 'served',
      inward: `inbound ${inward}`,
    },
    'the app is captured in both directions, the proxy is not',
    { log: await logOf(runDir) },
  )
  const lines = await logOf(runDir)
  t.ok(
    lines.some((line) => line.includes('captured') && line.includes('ADD')),
    `the plugin says that it was asked: ${lines.join('\n')}`,
  )
}

async function left(t: Test, { runtime }: Place): Promise<void> {
  const rows: readonly { readonly who: string; readonly annotations: Record<string, string> }[] = [
    { who: 'no-annotations', annotations: {} },
    { who: 'not-injected', annotations: { [SOURCE_KEY]: 'api' } },
    { who: 'not-by-kubelet', annotations: { [PLAN_KEY]: plan } },
  ]
  for (const { who, annotations } of rows) {
    const pod = await runPod(runtime, who, annotations)
    t.teardown(() => pod.end())
    await pod.start({ name: 'app', args: ['call', SERVED], uid: APP_UID })
    t.equal(await answerOf(SERVED, () => pod.lines('app')), 'served', `${who}: not captured`)
  }
}

async function refused(t: Test, { runtime }: Place): Promise<void> {
  const forged = (text: string) => ({ ...injected, [PLAN_KEY]: text })
  const { [PLAN_KEY]: _, ...removed } = injected
  const rows = [
    { who: 'another-port', annotations: forged(plan.replace('15001', '"15001; reboot"')) },
    { who: 'another-key', annotations: forged(plan.replace('{', '{"run":"id",')) },
    { who: 'truncated', annotations: forged(plan.slice(0, 100)) },
    { who: 'from-the-future', annotations: forged(plan.replace('"v":1', '"v":2')) },
    { who: 'a-megabyte', annotations: forged(plan.padEnd(1 << 20)) },
    { who: 'removed', annotations: removed },
  ]
  for (const { who, annotations } of rows) {
    const answer = await runPod(runtime, who, annotations).then(
      async (pod: Pod) => {
        await pod.end()
        return 'the sandbox stands'
      },
      (error: unknown) => String(error),
    )
    t.match(answer, `plugin type="${PLUGIN_TYPE}"`, `${who}: refused by us`)
    t.match(answer, PLAN_KEY, `${who}: the message names the annotation`)
  }
}

async function ended(t: Test, { runtime, runDir }: Place): Promise<void> {
  const before = await networkNamespaces()
  const pod = await runPod(runtime, 'ended', injected)
  t.equal((await networkNamespaces()).length, before.length + 1, 'one namespace more')
  await pod.end()
  t.strictSame(await networkNamespaces(), before, 'it is gone')
  const { items = [] } = await runtime.call('RuntimeService/ListPodSandbox', {})
  t.notMatch(JSON.stringify(items), pod.id, 'the runtime has forgotten the pod')
  t.notMatch(
    (await logOf(runDir)).join('\n'),
    '"level":"error".*"pod":"ended"',
    'no error is logged',
  )
}

t.test('a container runtime calls the plugin', async (t) => {
  await settle()
  const processes = await supervise()
  t.teardown(() => processes.stop())
  const runDir = join(PLACE, 'plugin')
  await execa('mkdir', [runDir])
  const entry = {
    type: PLUGIN_TYPE,
    capabilities: { [ANNOTATIONS_CAPABILITY]: true },
    run_dir: runDir,
    log_level: 'debug',
  }
  const pluginFolders = [process.env['SIDECAR_CNI_FOLDER'] ?? '']
  const runtime = await startRuntime({ processes, pluginFolders, chained: [entry] })
  const standIn = join(assets(), 'stand-in')
  await runtime.addImage({
    name: STAND_IN,
    files: { '/stand-in': standIn },
    entrypoint: ['/stand-in'],
  })
  processes.start('server', standIn, ['serve', ':9080'])
  const place = { runtime, processes, runDir }
  const before = await rulesOfHost()
  await t.test('traffic of an injected pod is captured', (t) => captured(t, place))
  await t.test('traffic of another pod is not', (t) => left(t, place))
  await t.test('a forged plan stops the sandbox', (t) => refused(t, place))
  await t.test('a pod ends', (t) => ended(t, place))
  t.equal(await rulesOfHost(), before, 'the rules of the node are as they were')
})

async function logOf(runDir: string): Promise<readonly string[]> {
  const text = await readFile(join(runDir, `${PLUGIN_TYPE}.log`), 'utf8').catch(() => '')
  return text.split('\n')
}

async function networkNamespaces(): Promise<readonly string[]> {
  const { stdout } = await execa('ip', ['netns', 'list'])
  return stdout.split('\n').filter((line) => line !== '')
}

async function rulesOfHost(): Promise<string> {
  const all = ['iptables-save', 'ip6tables-save'].map((tool) =>
    execa(tool).then((ran) => ran.stdout),
  )
  const rules = await Promise.all(all)
  return rules.join('\n').replaceAll(/^#.*$/gm, '')
}
