import { IGNORED_NAMESPACES } from '../inject/decide.ts'
import { isObject, type JsonObject } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import { mapAt, metadataOf, objectsAt, textsOf, type Finding, type Subject } from './model.ts'
import { tellsProtocol, type NamedPort } from './protocol.ts'

/** A Service as far as the pods behind it go. */
export type ServiceFacts = {
  readonly name: string
  readonly selector: StringMap
  readonly ports: readonly ServicePort[]
}

/** One port of a Service; `target` is the port of the pod as text, a number or a name. */
export type ServicePort = NamedPort & { readonly target: string }

/** Reads what injection and the proxy need to know of a Service. */
export function readService({ name, value }: Subject): ServiceFacts {
  const spec = mapAt(value, 'spec')
  return {
    name,
    selector: textsOf(spec['selector']),
    ports: objectsAt(spec, 'ports').map(readPort),
  }
}

/** Whether a Service leads to pods with these labels; one without a selector leads to none. */
export function leadsTo({ selector }: ServiceFacts, labels: StringMap): boolean {
  const wanted = Object.entries(selector)
  return wanted.length > 0 && wanted.every(([key, text]) => labels[key] === text)
}

/** Ports whose protocol nobody tells. */
export function findInService(subject: Subject): readonly Finding[] {
  const { labels } = metadataOf(subject.value)
  const isControlPlane = labels['istio'] !== undefined || labels['release'] === 'istio'
  if (isControlPlane || IGNORED_NAMESPACES.includes(subject.namespace)) return []
  const isExternal = mapAt(subject.value, 'spec')['type'] === 'ExternalName'
  return readService(subject).ports.flatMap((port, index): readonly Finding[] => {
    const isTold = tellsProtocol(port)
    const path = `/spec/ports/${index}`
    const got = `${port.name === '' ? 'no name' : port.name} for port ${port.port}`
    if (isExternal && (!isTold || port.name === 'tcp')) {
      return [{ code: 'SI0302', path, got, want: 'a protocol other than tcp' }]
    }
    if (isTold) return []
    return [{ code: 'SI0301', path, got, want: 'a name such as http, grpc-api or tcp-metrics' }]
  })
}

function readPort(port: JsonObject): ServicePort {
  const number = typeof port['port'] === 'number' ? port['port'] : 0
  const { name, protocol, appProtocol, targetPort: target } = port
  const isTarget = typeof target === 'string' || typeof target === 'number'
  return {
    port: number,
    name: typeof name === 'string' ? name : '',
    protocol: typeof protocol === 'string' ? protocol : 'TCP',
    appProtocol: typeof appProtocol === 'string' ? appProtocol : undefined,
    target: isTarget && target !== 0 && target !== '' ? String(target) : String(number),
  }
}

/** Whether an object is a Service of Kubernetes. */
export function isService({ group, kind, value }: Subject): boolean {
  return group === '' && kind === 'Service' && isObject(value['spec'])
}
