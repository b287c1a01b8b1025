/** Which pods the repair takes for broken, and the settings that say so. */
import { createHash } from 'node:crypto'
import t from 'tap'
import { findBroken, hasIntactPlan } from '../../../cni-plugin/repair/broken.ts'
import { readRepairSettings } from '../../../cni-plugin/repair/settings.ts'
import type { JsonObject } from '../../../core/json.ts'
import { formatProblem } from '../../../core/problem.ts'

const RULE = { container: 'istio-validation', exitCode: 126, message: '' }
const PLAN = 'sidecar-injector.io/redirect-plan'

const ended = (exitCode: number, more: JsonObject = {}): JsonObject => ({
  terminated: { exitCode, ...more },
})
const WAITING = { waiting: { reason: 'CrashLoopBackOff' } }

type Shape = {
  readonly state?: JsonObject
  readonly lastState?: JsonObject
  readonly name?: string
  readonly metadata?: JsonObject
  readonly status?: JsonObject
  readonly spec?: JsonObject
}

function pod(shape: Shape): JsonObject {
  const { state = WAITING, lastState = ended(126), name = 'istio-validation' } = shape
  return {
    metadata: {
      namespace: 'shop',
      name: 'web',
      uid: 'u1',
      resourceVersion: '7',
      annotations: { 'sidecar.istio.io/status': '{}' },
      ...shape.metadata,
    },
    spec: { ...shape.spec },
    status: {
      phase: 'Pending',
      podIP: '10.0.0.9',
      podIPs: [{ ip: '10.0.0.9' }, { ip: 'fd00::9' }],
      initContainerStatuses: [{ name, state, lastState, restartCount: 3 }],
      ...shape.status,
    },
  }
}

const rows: readonly (Shape & {
  readonly who: string
  readonly broken: boolean
  readonly rule?: typeof RULE
})[] = [
  { who: 'waits after a failure', broken: true },
  { who: 'runs again after a failure', state: { running: {} }, broken: true },
  { who: 'has just failed for the first time', state: ended(126), lastState: {}, broken: true },
  { who: 'failed and failed', state: ended(126), broken: true },
  { who: 'found the rules in the end', state: ended(0, { reason: 'Completed' }), broken: false },
  { who: 'found the rules at once', state: ended(0), lastState: {}, broken: false },
  { who: 'failed for another reason', lastState: ended(1), broken: false },
  {
    who: 'another reason, any code',
    lastState: ended(1),
    broken: true,
    rule: { ...RULE, exitCode: 0 },
  },
  {
    who: 'never failed, any code',
    state: { running: {} },
    lastState: {},
    broken: false,
    rule: { ...RULE, exitCode: 0 },
  },
  { who: 'another container failed', name: 'migrate', broken: false },
  { who: 'was not injected', metadata: { annotations: {} }, broken: false },
  { who: 'has no annotations', metadata: { annotations: null }, broken: false },
  { who: 'is going away', metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' }, broken: false },
  { who: 'has failed for good', status: { phase: 'Failed' }, broken: false },
  { who: 'is done', status: { phase: 'Succeeded' }, broken: false },
  { who: 'has no init containers', status: { initContainerStatuses: null }, broken: false },
  { who: 'is of the host', spec: { hostNetwork: true }, broken: false },
  {
    who: 'left another message',
    lastState: ended(126, { message: 'no' }),
    broken: false,
    rule: { ...RULE, message: 'yes' },
  },
  {
    who: 'left the message',
    lastState: ended(126, { message: ' yes\n' }),
    broken: true,
    rule: { ...RULE, message: 'yes' },
  },
]

t.test('which pods are broken', async (t) => {
  for (const { who, broken, rule = RULE, ...shape } of rows) {
    t.equal(findBroken(pod(shape), rule) !== undefined, broken, who)
  }
  t.strictSame(findBroken(pod({}), RULE), {
    namespace: 'shop',
    name: 'web',
    uid: 'u1',
    resourceVersion: '7',
    ips: ['10.0.0.9', 'fd00::9'],
    restarts: 3,
  })
  for (const odd of [{}, { metadata: 1, status: [] }, { metadata: { uid: 1 } }]) {
    t.equal(findBroken(odd, RULE), undefined)
  }
})

t.test('whether a plan is the one that injection wrote', async (t) => {
  const text = '{"v":1}'
  const value = createHash('sha256').update(text).digest('hex')
  const guarded = (annotations: JsonObject, digest: string): JsonObject => ({
    metadata: { annotations },
    spec: {
      initContainers: [
        { name: 'x', env: [{ name: 'SIDECAR_REDIRECT_PLAN_SHA256', value: digest }] },
      ],
    },
  })
  t.ok(hasIntactPlan(guarded({ [PLAN]: text }, value)))
  t.notOk(hasIntactPlan(guarded({ [PLAN]: `${text} ` }, value)), 'edited')
  t.notOk(hasIntactPlan(guarded({}, value)), 'removed')
  t.ok(hasIntactPlan(pod({})), 'no guard: not injected by us')
})

t.test('settings', async (t) => {
  const said = (env: Readonly<Record<string, string>>): unknown => {
    const read = readRepairSettings(env, '/host')
    return read.ok ? read.value : read.problems.map(formatProblem)
  }
  t.strictSame(said({ REPAIR_MODE: ' ' }), {
    mode: 'off',
    rule: RULE,
    label: { key: 'cni.istio.io/uninitialized', value: 'true' },
    labelSelector: '',
    hostProc: '/host/proc',
  })
  t.match(said({ REPAIR_MODE: 'delete', REPAIR_LABEL_SELECTORS: 'a=b', REPAIR_HOST_PROC: '/p' }), {
    mode: 'delete',
    labelSelector: 'a=b',
    hostProc: '/p',
  })
  t.match(
    said({
      REPAIR_MODE: 'mend',
      REPAIR_INIT_CONTAINER_EXIT_CODE: '300',
      REPAIR_LABEL_KEY: 'a b',
      REPAIR_LABEL_VALUE: '-',
    }),
    [/^REPAIR_MODE: got "mend"/, /_EXIT_CODE: got "300"/, /_KEY: got "a b"/, /_VALUE: got "-"/],
  )
})
