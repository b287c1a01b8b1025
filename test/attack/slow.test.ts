/** Pods that try to make the injector slow: none takes more than 50 times as long as an ordinary one of its size. */
import t from 'tap'
import { injectPod } from '../../core/inject/inject.ts'
import type { JsonObject } from '../../core/json.ts'
import { answerReview } from '../../webhook/answer.ts'
import { configOf } from '../support/config.ts'
import { ordinaryPod, SLOW } from './slow-pods.ts'

/** The acceptance line. */
const MOST = 50
/** Characters of JSON: an annotation may be as long as the API server takes, and a few times more. */
const SIZES = [30_000, 240_000]

const CONFIGS = [
  configOf({}),
  configOf({
    values:
      'pilot: {cni: {enabled: true, provider: multus}}\nsidecarInjector: {cniAnnotation: true}',
  }),
]

/** Microseconds of CPU of one answer: what other processes do does not count. */
function cost(body: string, config: (typeof CONFIGS)[number]): number {
  const before = process.cpuUsage()
  answerReview(body, '/inject', injectPod, {
    config,
    isNative: () => false,
    annotationsOf: () => undefined,
  })
  const { user, system } = process.cpuUsage(before)
  return user + system
}

function reviewOf(pod: JsonObject): string {
  const request = { uid: 'u', namespace: 'shop', object: pod }
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request })
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

/** How many times as long; both measured in turns, so that a slow moment of the machine meets both. */
function ratio(attack: string, config: (typeof CONFIGS)[number], rounds: number): number {
  const ordinary = reviewOf(ordinaryPod(attack.length))
  const costs = Array.from(
    { length: rounds },
    () => [cost(attack, config), cost(ordinary, config)] as const,
  )
  return median(costs.map(([slow]) => slow)) / Math.max(1, median(costs.map(([, usual]) => usual)))
}

t.test('the ordinary pod has the size that it is to have', async (t) => {
  for (const size of [2_000, ...SIZES]) {
    const { length } = JSON.stringify(ordinaryPod(size))
    t.ok(length > size * 0.7 && length < size * 1.3, `${length} for ${size}`)
  }
})

for (const size of SIZES) {
  t.test(`pods of ${size} characters`, async (t) => {
    for (let warm = 0; warm < 20; warm++)
      cost(reviewOf(ordinaryPod(2_000)), CONFIGS[warm % 2] ?? configOf({}))
    let worst = { name: '', times: 0 }
    for (const [index, [name, make]] of Object.entries(SLOW).entries()) {
      const config = CONFIGS[index % CONFIGS.length] ?? configOf({})
      const attack = reviewOf(make(size))
      // One look is enough where it is far below; a doubtful one is looked at again.
      const first = ratio(attack, config, 1)
      const times = first < MOST / 3 ? first : ratio(attack, config, 7)
      if (times > worst.times) worst = { name, times }
      if (times > MOST) t.fail(`${name}: ${times.toFixed(1)} times as long`)
    }
    t.ok(
      worst.times <= MOST,
      `${Object.keys(SLOW).length} pods, worst ${worst.name}: ${worst.times.toFixed(1)}`,
    )
  })
}

t.test('the ratio tells a slow one', async (t) => {
  const [config = configOf({})] = CONFIGS
  const slow = reviewOf(ordinaryPod(400_000))
  const usual = reviewOf(ordinaryPod(2_000))
  // In turns, and often: what collects the garbage of a slow one may do so beside a usual one.
  const rounds = Array.from({ length: 15 }, () => ({
    slow: cost(slow, config),
    usual: [1, 2, 3, 4, 5].map(() => cost(usual, config)),
  }))
  const times = median(rounds.map((one) => one.slow)) / median(rounds.flatMap((one) => one.usual))
  t.ok(times > 4, `a pod two hundred times as large takes ${times.toFixed(1)} times as long`)
})
