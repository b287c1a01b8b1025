import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import {
  ANNOTATIONS,
  checkAnnotations,
  printAnnotations,
} from '../../../core/options/annotations.ts'

const rows = ANNOTATIONS.flatMap((group) => group.rows)
const traffic = (name: string) => `traffic.sidecar.istio.io/${name}`
const sidecar = (name: string) => `sidecar.istio.io/${name}`

t.test('the reference page is printed from the table', async (t) => {
  const page = join(import.meta.dirname, '../../../docs/reference/annotations.md')
  t.equal(readFileSync(page, 'utf8'), printAnnotations(), 'npm run reference')
})

t.test('every key is there once', async (t) => {
  const keys = rows.map(({ key }) => key)
  t.strictSame(keys, [...new Set(keys)])
})

t.test('all problems together, in the order of the table', async (t) => {
  const problems = checkAnnotations({
    'prometheus.istio.io/merge-metrics': 'maybe',
    [traffic('excludeInboundPorts')]: '80,http,99999',
    [sidecar('interceptionMode')]: 'tproxy',
    'example.com/own': '*',
    'proxy.istio.io/config': 'statusPort: 0',
  })
  t.strictSame(problems, [
    { path: 'proxy.istio.io/config: statusPort', got: '0', want: 'a port from 1 to 65535' },
    { path: sidecar('interceptionMode'), got: 'tproxy', want: 'REDIRECT, TPROXY, NONE' },
    {
      path: traffic('excludeInboundPorts'),
      got: 'http',
      want: 'a port from 0 to 65535, in a list separated by commas',
    },
    {
      path: traffic('excludeInboundPorts'),
      got: '99999',
      want: 'a port from 0 to 65535, in a list separated by commas',
    },
    { path: 'prometheus.istio.io/merge-metrics', got: 'maybe', want: 'true or false' },
  ])
})

const cases: { key: string; right: string[]; wrong: string[] }[] = [
  { key: traffic('includeInboundPorts'), right: ['*', '', '0', '1, 2'], wrong: ['1-2', '*,1'] },
  {
    key: traffic('includeOutboundPorts'),
    right: ['', '8000-8100,9', '0'],
    wrong: ['*', 'x', '9-8', '1"\n'],
  },
  { key: traffic('includeOutboundIPRanges'), right: ['*', '::1/128'], wrong: ['* ', '::1'] },
  { key: traffic('excludeOutboundIPRanges'), right: [''], wrong: ['*'] },
  { key: sidecar('interceptionMode'), right: ['NONE', 'REDIRECT'], wrong: ['', 'none'] },
  { key: 'status.sidecar.istio.io/port', right: ['0', ' 15020 '], wrong: ['', '65536', '+1'] },
  {
    key: 'readiness.status.sidecar.istio.io/periodSeconds',
    right: ['0', '4294967295'],
    wrong: ['4294967296', ' 1', '1.0'],
  },
  { key: sidecar('proxyCPU'), right: ['0', '-0', '1.5Gi'], wrong: ['-1', '1 ', ''] },
  { key: sidecar('proxyImage'), right: ['', 'x y', 'a.example/b:1'], wrong: ['a/b ', '\na/b'] },
  {
    key: sidecar('proxyImageType'),
    right: ['', 'debug', 'my_type-1.2'],
    wrong: ['a b', 'a\n', 'a/b'],
  },
  { key: sidecar('bootstrapOverride'), right: ['config'], wrong: [''] },
  { key: sidecar('userVolume'), right: ['{}', ' {"a": 1}'], wrong: ['', '[]', 'null', '{'] },
  { key: sidecar('status'), right: ['', 'nonsense'], wrong: [] },
  { key: 'apm.datadoghq.com/env', right: ['nonsense'], wrong: [] },
  { key: sidecar('rewriteAppHTTPProbers'), right: ['nonsense'], wrong: [] },
]
for (const { key, right, wrong } of cases) {
  t.test(key, async (t) => {
    for (const text of right) t.strictSame(checkAnnotations({ [key]: text }), [], `takes ${text}`)
    for (const text of wrong) {
      const problems = checkAnnotations({ [key]: text })
      t.strictSame([...new Set(problems.map(({ path }) => path))], [key], `refuses ${text}`)
    }
  })
}

const amounts = [
  { request: '1', limit: '1000m', fits: true },
  { request: '1001m', limit: '1', fits: false },
  { request: '1Gi', limit: '1G', fits: false },
  { request: '9', limit: '10', fits: true },
  { request: '0', limit: '1e-3', fits: true },
  { request: '1', limit: '0', fits: false },
  { request: '1e1000', limit: '2e1000', fits: true },
  { request: '1e2000000000', limit: '1', fits: false },
]
for (const { request, limit, fits } of amounts) {
  t.test(`a request of ${request} under a limit of ${limit}`, async (t) => {
    const key = sidecar('proxyMemory')
    const problems = checkAnnotations({ [key]: request, [`${key}Limit`]: limit })
    const want = `at most ${key}Limit, which is ${limit}`
    t.strictSame(problems, fits ? [] : [{ path: key, got: request, want }])
  })
}

t.test('a limit that cannot be read is told once', async (t) => {
  const problems = checkAnnotations({ [sidecar('proxyCPU')]: '1', [sidecar('proxyCPULimit')]: 'x' })
  t.strictSame(
    problems.map(({ path }) => path),
    [sidecar('proxyCPULimit')],
  )
})

t.test('keys that objects inherit are no annotations', async (t) => {
  const heir = Object.create({ [sidecar('interceptionMode')]: 'x' }) as Record<string, string>
  t.strictSame(checkAnnotations(heir), [])
})

t.test('no text makes a reader throw, and every problem names its key', async () => {
  const keys = rows.flatMap(({ key, read }) => (read === undefined ? [] : [key]))
  const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.json())
  fc.assert(
    fc.property(fc.constantFrom(...keys), text, (key, said) => {
      return checkAnnotations({ [key]: said }).every(({ path }) => path.startsWith(key))
    }),
    { numRuns: 200 },
  )
})
