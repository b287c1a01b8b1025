/** Injection in the core: microseconds of CPU a pod, steady state, one process. */
import { createHash } from 'node:crypto'
import { readInjectConfig } from '../../core/inject/config.ts'
import type { InjectRequest } from '../../core/inject/decision.ts'
import { diff } from '../../core/inject/patch.ts'
import { injectPod } from '../../core/inject/inject.ts'
import type { Json } from '../../core/json.ts'
import { explainPod } from '../../core/origins/origins.ts'
import { answerReview } from '../../webhook/answer.ts'

/** An ordinary pod: two containers, probes, ports, a volume; nothing in it is the same in another one. */
export function ordinaryPod(number: number, envs = 6): Json {
  const env = Array.from({ length: envs }, (_, index) => ({
    name: `VAR_${index}`,
    value: `value ${index} of ${number}`,
  }))
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `shop-${number}-7f9c5d-`,
      namespace: `team-${number % 40}`,
      labels: { app: `shop-${number}`, 'pod-template-hash': '7f9c5d', version: `v${number}` },
      annotations: { 'example.com/build': `${number}` },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: `shop-${number}-7f9c5d`,
          uid: 'u',
          controller: true,
        },
      ],
    },
    spec: {
      containers: [
        {
          name: 'shop',
          image: `example/shop:${number}`,
          ports: [{ containerPort: 8080, name: 'http', protocol: 'TCP' }],
          env,
          readinessProbe: { httpGet: { path: `/ready/${number}`, port: 'http', scheme: 'HTTP' } },
          livenessProbe: { httpGet: { path: '/live', port: 8080, scheme: 'HTTP' } },
          resources: { requests: { cpu: '100m', memory: '64Mi' } },
          volumeMounts: [{ name: 'data', mountPath: '/data' }],
        },
        {
          name: 'cache',
          image: 'example/cache:1',
          ports: [{ containerPort: 6379, protocol: 'TCP' }],
          resources: {},
        },
      ],
      serviceAccountName: 'shop',
      volumes: [{ name: 'data', emptyDir: {} }],
    },
  }
}

/** The request that the webhook would make of a pod. */
export function requestOf(pod: Json, number: number): InjectRequest {
  return {
    pod,
    namespace: `team-${number % 40}`,
    owner: {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      name: `shop-${number}`,
      namespace: `team-${number % 40}`,
    },
    nativeSidecars: false,
    door: 'webhook',
    proxyEnvs: {},
  }
}

/** Prints the figures. */
export async function run(): Promise<void> {
  const read = readInjectConfig({
    istioVersion: 'current',
    revision: '',
    digest: (text) => createHash('sha256').update(text).digest('hex'),
  })
  if (!read.ok) throw new Error('the built-in configuration is refused')
  const config = read.value
  const unfenced = readInjectConfig({
    istioVersion: 'current',
    revision: '',
    values: { path: 'values', text: 'sidecarInjector: {fence: false}' },
    digest: config.digest,
  })
  if (!unfenced.ok) throw new Error('the configuration without a fence is refused')
  const inject = (pods: readonly Json[]): void => {
    for (const [index, pod] of pods.entries()) {
      const decision = injectPod(requestOf(pod, index), config)
      if (decision.kind !== 'inject') throw new Error(`pod ${index}: ${decision.kind}`)
      const patch = diff(decision.before, decision.pod)
      if (patch.length === 0) throw new Error('no patch')
    }
  }
  const cases = [
    {
      what: '1,000 distinct ordinary pods',
      pods: Array.from({ length: 1000 }, (_, n) => ordinaryPod(n)),
      rounds: 9,
    },
    {
      what: 'one ordinary pod, 1,000 times',
      pods: Array.from({ length: 1000 }, () => ordinaryPod(7)),
      rounds: 9,
    },
    ...[500, 1000, 2000, 5000, 10_000].map((envs) => ({
      what: `${envs.toLocaleString('en')} environment variables`,
      pods: Array.from({ length: Math.max(10, 40_000 / envs) }, (_, n) => ordinaryPod(n, envs)),
      rounds: 5,
    })),
  ]
  for (const { what, pods, rounds } of cases) {
    inject(pods)
    const times: number[] = []
    for (let round = 0; round < rounds; round++) {
      const before = process.cpuUsage()
      inject(pods)
      const used = process.cpuUsage(before)
      times.push((used.user + used.system) / pods.length)
    }
    times.sort((a, b) => a - b)
    const median = times[times.length >> 1] ?? NaN
    process.stdout.write(
      `  ${what.padEnd(34)} ${median.toFixed(0).padStart(7)} µs CPU a pod (decision and patch; ${times[0]?.toFixed(0)}–${times.at(-1)?.toFixed(0)})\n`,
    )
  }
  const pods = Array.from({ length: 300 }, (_, n) => requestOf(ordinaryPod(n), n))
  const plain = (request: InjectRequest): unknown => injectPod(request, config)
  const asked = pods.map(({ pod }, n) => reviewOf(pod, n))
  const snapshot = { config, isNative: () => false, annotationsOf: () => undefined }
  const answered = (warnings: boolean, audit: boolean) => (body: string) =>
    answerReview(body, '/inject', injectPod, snapshot, { warnings, audit })
  process.stdout.write('  beside what injection costs, in paired rounds\n')
  compare('an observer that does nothing', pods, plain, (one) =>
    injectPod(one, config, () => undefined),
  )
  compare('the fence', pods, (one) => injectPod(one, unfenced.value), plain)
  compare('the origin of every field (explain)', pods, plain, (one) => explainPod(one, config))
  compare('every outlet, to none', asked, answered(false, false), answered(true, true))
}

/** Prints the median of what a round of `more` costs above one of `base`, in their turns. */
function compare<T>(
  what: string,
  inputs: readonly T[],
  base: (input: T) => unknown,
  more: (input: T) => unknown,
): void {
  const cost = (run: (input: T) => unknown): number => {
    const before = process.cpuUsage()
    for (const input of inputs) run(input)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / inputs.length
  }
  cost(base)
  cost(more)
  const pairs = Array.from({ length: 15 }, () => ({ base: cost(base), more: cost(more) }))
  const median = (values: readonly number[]): number =>
    values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN
  const above = median(pairs.map((pair) => pair.more - pair.base))
  const times = median(pairs.map((pair) => pair.more / pair.base))
  process.stdout.write(`    ${what}: ${above.toFixed(1)} µs more, ${times.toFixed(2)} times\n`)
}

function reviewOf(object: Json, n: number): string {
  const version = { group: '', version: 'v1' }
  return JSON.stringify({
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: `u-${n}`,
      kind: { ...version, kind: 'Pod' },
      namespace: `team-${n % 40}`,
      operation: 'CREATE',
      object,
    },
  })
}
