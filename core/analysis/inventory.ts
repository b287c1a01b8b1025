import { listEntries, type ListedEntry } from '../gates/read-webhooks.ts'
import type { StringMap } from '../k8s.ts'
import { readLimitRange, type LimitItem } from './limit-ranges.ts'
import { metadataOf, type Subject } from './model.ts'
import { readQuota, type Quota } from './quotas.ts'
import { isService, readService, type ServiceFacts } from './services.ts'
import { isInjector, isWebhooks } from './webhooks.ts'

/** What objects need to know of each other: small, however many workloads there are. */
export type Inventory = {
  readonly namespaces: ReadonlyMap<string, StringMap>
  readonly services: ByNamespace<ServiceFacts>
  readonly limits: ByNamespace<LimitItem>
  readonly quotas: ByNamespace<Quota>
  /** Entries of injectors, also those that cannot be read. */
  readonly injectors: readonly ListedEntry[]
}

type ByNamespace<T> = ReadonlyMap<string, readonly T[]>

/** Takes objects one by one and keeps what others need to know of them. */
export function makeInventory() {
  const namespaces = new Map<string, StringMap>()
  const services = new Map<string, ServiceFacts[]>()
  const limits = new Map<string, LimitItem[]>()
  const quotas = new Map<string, Quota[]>()
  const injectors: ListedEntry[] = []
  const add = (subject: Subject): void => {
    const { group, kind, namespace, name, value } = subject
    if (isService(subject)) push(services, namespace, readService(subject))
    else if (isWebhooks(subject)) injectors.push(...listEntries(value).filter(isInjector))
    else if (group !== '') return
    else if (kind === 'Namespace') namespaces.set(name, metadataOf(value).labels)
    else if (kind === 'LimitRange') push(limits, namespace, ...readLimitRange(subject))
    else if (kind === 'ResourceQuota') push(quotas, namespace, readQuota(subject))
  }
  const inventory: Inventory = { namespaces, services, limits, quotas, injectors }
  return { add, inventory }
}

function push<T>(map: Map<string, T[]>, key: string, ...items: readonly T[]): void {
  map.set(key, [...(map.get(key) ?? []), ...items])
}
