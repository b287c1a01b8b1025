/** The page of ports says what the code says. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import * as constants from '../../core/constants.ts'
import { injectPod } from '../../core/inject/inject.ts'
import { configOf, requestFor } from '../support/config.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/reference/ports.md'), 'utf8')
const listed = [...page.matchAll(/^\| ([\d., :a-fx()]+) \|/gm)].map(([, text = '']) => text)

t.test('every port and id of the code is on the page', async (t) => {
  const values = Object.entries<unknown>(constants).filter(([name]) =>
    /(_PORT|_ID|_MARK|_TABLE)$/.test(name),
  )
  t.ok(values.length >= 10)
  for (const [name, value] of values) {
    if (typeof value !== 'number') throw new Error(`${name} is no number`)
    if (['DNS_PORT', 'SSH_PORT'].includes(name)) continue
    t.ok(
      listed.some((text) => text.split(/[ ,]/).includes(`${value}`)),
      `${name} ${value}`,
    )
  }
})

t.test('the ports that are never captured are those that injection excludes', async (t) => {
  const pod = { metadata: { name: 'a' }, spec: { containers: [{ name: 'app', image: 'app' }] } }
  const decision = injectPod(requestFor(pod), configOf({}))
  if (decision.kind !== 'inject') throw new Error(decision.kind)
  const args = decision.pod.spec?.initContainers?.[0]?.args ?? []
  const excluded = (args[args.indexOf('-d') + 1] ?? '').split(',')
  const [, said = ''] = /^(.*) are never captured/m.exec(page) ?? []
  const ports = said.match(/\d+/g) ?? []
  t.strictSame([...excluded, String(constants.INBOUND_TUNNEL_PORT)].sort(), ports.sort())
})
