import { Refusal } from '../../core/problem.ts'
import type { Repair, RepairParts } from '../install/run.ts'
import { runRepair } from './repair.ts'
import { readRepairSettings } from './settings.ts'

/** Starts the repair beside the installer; nothing where it is switched off. Throws a Refusal for wrong settings. */
export function startRepair(parts: RepairParts): Promise<Repair | undefined> {
  const { settings: installer, env, api, log, registry } = parts
  const read = readRepairSettings(env, installer.hostRoot)
  if (!read.ok) throw new Refusal(read.problems)
  const settings = read.value
  if (settings.mode === 'off') return Promise.resolve(undefined)
  const node = installer.nodeName
  if (node === undefined) {
    const want = 'the name of this node: with REPAIR_MODE its pods are looked at'
    throw new Refusal([{ path: 'NODE_NAME', got: '', want }])
  }
  log('info', 'repair', { mode: settings.mode, node, container: settings.rule.container })
  const { iptablesMode, ipv6 } = installer
  const rules = { iptablesMode, ipv6 }
  const path = env['PATH']
  return Promise.resolve(runRepair({ settings, api, node, rules, path, log, registry }))
}
