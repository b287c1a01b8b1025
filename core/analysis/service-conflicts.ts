import type { StringMap } from '../k8s.ts'
import type { Finding } from './model.ts'
import { leadsTo, type ServiceFacts } from './services.ts'

/**
 * Services that lead to one pod and disagree about a port: in its protocol, or in the port of the pod
 * that it stands for. `path` is where the pod's labels stand.
 */
export function findServiceConflicts(
  services: readonly ServiceFacts[],
  labels: StringMap,
  path: string,
): readonly Finding[] {
  const leading = services.filter((service) => leadsTo(service, labels))
  const protocols = grouped(leading, ({ port, protocol }) => [String(port), protocol])
  const targets = grouped(leading, ({ target, port }) => [target, String(port)])
  return [
    ...disputed(protocols).map(({ key, said, services: names }): Finding => {
      const got = `port ${key} as ${said.join(' and ')} in ${names.join(', ')}`
      return { code: 'SI0303', path, got, want: 'one protocol for one port number' }
    }),
    ...disputed(targets).map(({ key, said, services: names }): Finding => {
      const got = `port ${key} of the pod as ${said.join(' and ')} in ${names.join(', ')}`
      return { code: 'SI0304', path, got, want: 'one port number for one port of the pod' }
    }),
  ]
}

/** By a key, what is said about it, and who says it. */
type Sayings = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>

function grouped(
  services: readonly ServiceFacts[],
  read: (port: ServiceFacts['ports'][number]) => readonly [key: string, said: string],
): Sayings {
  const sayings = new Map<string, Map<string, string[]>>()
  for (const { name, ports } of services) {
    for (const port of ports) {
      const [key, said] = read(port)
      const known = sayings.get(key) ?? new Map<string, string[]>()
      sayings.set(key, known)
      known.set(said, [...(known.get(said) ?? []), name])
    }
  }
  return sayings
}

function disputed(sayings: Sayings) {
  return [...sayings].flatMap(([key, known]) => {
    if (known.size < 2) return []
    const services = [...new Set([...known.values()].flat())].sort()
    // One Service may well offer DNS over TCP and UDP, or one port under two numbers.
    if (services.length < 2) return []
    return [{ key, said: [...known.keys()].sort(), services }]
  })
}
