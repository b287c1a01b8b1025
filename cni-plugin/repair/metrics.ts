import { Counter, Gauge, type Registry } from 'prom-client'
import type { RepairMode } from './settings.ts'

/** What became of one broken pod. */
export type Result = 'success' | 'skip' | 'fail'

/** The metrics of the repair. */
export type RepairMetrics = {
  readonly counted: (mode: RepairMode, result: Result) => void
  readonly broken: (count: number) => void
}

/** Puts them into a registry of the caller's. */
export function makeRepairMetrics(registry: Registry): RepairMetrics {
  const registers = [registry]
  const pods = new Counter({
    name: 'sidecar_cni_repair_pods_repaired_total',
    help: 'Pods that started without rules and were seen to, by what was done and how it ended.',
    labelNames: ['type', 'result'],
    registers,
  })
  const broken = new Gauge({
    name: 'sidecar_cni_repair_pods_broken',
    help: 'Pods of this node whose validation found no rules.',
    registers,
  })
  return {
    counted: (type, result) => {
      pods.inc({ type, result })
    },
    broken: (count) => {
      broken.set(count)
    },
  }
}
