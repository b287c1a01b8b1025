/**
 * Requests a second to a pod with a real Envoy: without rules, with rules on a port that they exclude, and through
 * Envoy. Eight connections that stay open; client, Envoy and application share this machine, so the rows compare with
 * each other and with nothing else. For context: nothing is asserted.
 */
import { join } from 'node:path'
import { isObject } from '../../core/json.ts'
import { readYaml } from '../../core/yaml.ts'
import { findEnvoy, lend } from '../../datapath/envoy.ts'
import { AT, makeLab, ROOT, type Lab } from '../../datapath/lab.ts'
import { untilListening } from '../../datapath/listening.ts'
import { APP_USER, inject, ok, runInit, startProxy } from '../../datapath/sidecar.ts'

const ROUNDS = 3
const SECONDS = 2
const CONNECTIONS = 8

/** Answers without a word, so that what is measured is the way. */
const ANSWERER = `
const http = require('node:http')
for (const port of [8080, 9090]) http.createServer((_, response) => response.end('ok')).listen(port, '::')
`

const ASKER = `
const http = require('node:http')
const [, host, port, seconds, connections] = process.argv
const agent = new http.Agent({ keepAlive: true, maxSockets: Number(connections) })
const end = performance.now() + Number(seconds) * 1000
let done = 0
const ask = () => new Promise((resolve, reject) => {
  http.get({ host, port, agent }, (response) => { response.resume(); response.on('end', resolve) }).on('error', reject)
})
const work = async () => { while (performance.now() < end) { await ask(); done++ } }
Promise.all([...Array(Number(connections))].map(work)).then(() => {
  process.stdout.write(JSON.stringify({ rate: done / Number(seconds) }), () => process.exit(0))
})
`

/** Prints the figures; needs root and an Envoy. */
export async function run(): Promise<void> {
  const assets = process.env['KUBEBUILDER_ASSETS']
  const binary = findEnvoy(assets === undefined ? undefined : join(assets, 'envoy'))
  if (process.getuid?.() !== 0 || binary === undefined) {
    process.stdout.write('  left out: needs root for network namespaces, and an Envoy (ENVOY)\n')
    return
  }
  const rows = [
    { name: 'no rules', isRuled: false, port: 9090 },
    { name: 'rules, excluded port', isRuled: true, port: 9090 },
    { name: 'rules, through Envoy', isRuled: true, port: 8080 },
  ] as const
  const labs = { bare: await prepare(false, binary), ruled: await prepare(true, binary) }
  try {
    const rates = rows.map((): number[] => [])
    for (let round = -1; round < ROUNDS; round++) {
      for (const [index, { isRuled, port }] of rows.entries()) {
        const rate = await measure(isRuled ? labs.ruled : labs.bare, port)
        // The first round warms everything up.
        if (round >= 0) rates[index]?.push(rate)
      }
    }
    for (const [index, { name }] of rows.entries()) {
      const sorted = (rates[index] ?? []).sort((a, b) => a - b)
      const middle = sorted[Math.floor(sorted.length / 2)] ?? NaN
      process.stdout.write(`  ${name.padEnd(24)} ${middle.toFixed(0)} requests/s\n`)
    }
  } finally {
    await labs.bare.close()
    await labs.ruled.close()
  }
}

async function prepare(isRuled: boolean, binary: string): Promise<Lab> {
  const lab = makeLab()
  const app = lab.start('pod', APP_USER, 'app', process.execPath, ['-e', ANSWERER])
  await untilListening('app', app, [8080, 9090])
  if (!isRuled) return lab
  const annotations = { 'traffic.sidecar.istio.io/excludeInboundPorts': '9090' }
  const injected = inject({ annotations })
  const program = join(process.cwd(), 'dist/istio-iptables.cjs')
  const { code, stderr } = await runInit(lab, program, injected)
  if (code !== 0) throw new Error(stderr)
  await startProxy(lab, lend(lab, binary, 'envoy'), injected)
  return lab
}

async function measure(lab: Lab, port: number): Promise<number> {
  const words = ['-e', ASKER, AT.v4.pod, `${port}`, `${SECONDS}`, `${CONNECTIONS}`]
  const { code, stdout, stderr } = await lab.run('client', ROOT, process.execPath, words)
  const json = ok(readYaml('rate', stdout === '' ? '{}' : stdout))
  if (code !== 0 || !isObject(json) || typeof json['rate'] !== 'number') throw new Error(stderr)
  return json['rate']
}
