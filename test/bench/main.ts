/** `npm run bench [part …]`: every figure of docs/performance.md, in one run. */
import * as cni from './cni.ts'
import * as core from './core.ts'
import * as datapath from './datapath.ts'
import * as iptables from './iptables.ts'
import * as kubeInject from './kube-inject.ts'
import * as webhook from './webhook.ts'

const PARTS = { core, 'kube-inject': kubeInject, webhook, iptables, cni, datapath } as const

const wanted = process.argv.slice(2)
for (const [name, part] of Object.entries(PARTS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  process.stdout.write(`\n${name}\n`)
  await part.run()
}
