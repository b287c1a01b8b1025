/** Every field that injection changes in a recorded input has an origin, and the origins rebuild the pod. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { InjectConfig } from '../../core/inject/config.ts'
import type { Decision, InjectRequest } from '../../core/inject/decision.ts'
import { injectPod } from '../../core/inject/inject.ts'
import { explainPod } from '../../core/origins/origins.ts'
import { Refusal } from '../../core/problem.ts'
import { answerReview } from '../../webhook/answer.ts'
import { injectText } from '../support/inject-text.ts'
import { originFaults } from '../support/origin-checks.ts'
import { configFor, type Case, type Recorded } from './cases.ts'
import { folder, needData } from './table.ts'

t.test('origins of the recorded inputs', needData(), async (t) => {
  const root = join(folder, 'inject')
  const counts = { pods: 0, fields: 0, refused: 0 }
  for (const name of readdirSync(root).sort()) {
    const dir = join(root, name)
    const each = JSON.parse(readFileSync(join(dir, 'case.json'), 'utf8')) as Case
    const faults: string[] = []
    const inject = (request: InjectRequest, config: InjectConfig): Decision => {
      const decision = injectPod(request, config)
      try {
        const explained = explainPod(request, config)
        faults.push(...originFaults(explained))
        if (explained.decision.kind === 'inject') counts.pods++
        counts.fields += explained.origins.length
      } catch (error) {
        faults.push(String(error))
      }
      return decision
    }
    const config = readConfig(dir, each)
    if (config === undefined) {
      counts.refused++
      continue
    }
    if (each.modes.cli) {
      const text = readFileSync(join(dir, 'input.yaml'), 'utf8')
      const setting = {
        inject: (request: InjectRequest) => inject(request, config),
        nativeSidecars: each.native,
      }
      try {
        injectText('input.yaml', text, setting)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
      }
    }
    const records = join(dir, 'webhook')
    for (const file of each.modes.webhook && existsSync(records) ? readdirSync(records) : []) {
      const record = JSON.parse(readFileSync(join(records, file), 'utf8')) as Recorded
      answerReview(JSON.stringify(record.review), record.path, inject, {
        config,
        isNative: () => each.native,
        annotationsOf: (namespace) => each.namespaces?.[namespace]?.annotations,
      })
    }
    t.strictSame(faults, [], name)
  }
  t.comment(`${counts.fields} fields of ${counts.pods} pods, ${counts.refused} configs refused`)
  t.ok(counts.pods > 0 && counts.fields > 0, 'there were pods to explain')
})

/** The configuration of a case; nothing where it is refused (foreign Go templates). */
function readConfig(dir: string, each: Case): InjectConfig | undefined {
  try {
    return configFor(dir, each)
  } catch {
    return undefined
  }
}
