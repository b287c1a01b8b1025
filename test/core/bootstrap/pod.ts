/** An injected pod, its proxy, and a way into what is built from it. */
import { readProxy } from '../../../core/bootstrap/from-pod.ts'
import type { Proxy } from '../../../core/bootstrap/proxy.ts'
import { injectPod } from '../../../core/inject/inject.ts'
import { isObject, type Json, type JsonObject } from '../../../core/json.ts'
import type { Pod } from '../../../core/k8s.ts'
import { configOf, requestFor } from '../../support/config.ts'

type Texts = Parameters<typeof configOf>[0]

/** A pod as injection leaves it, and the mesh that it was injected for. */
export function injected(metadata: JsonObject = {}, texts: Texts = {}): { pod: Pod; texts: Texts } {
  const ports = [{ containerPort: 9080 }]
  const decision = injectPod(
    requestFor(
      {
        metadata: { name: 'productpage-v1-6b', namespace: 'default', ...metadata },
        spec: {
          serviceAccountName: 'bookinfo-productpage',
          containers: [{ name: 'productpage', image: 'productpage', ports }],
        },
      },
      { namespace: 'default' },
    ),
    configOf(texts),
  )
  if (decision.kind !== 'inject') throw new Error(decision.kind)
  return { pod: decision.pod, texts }
}

export function proxyOf(
  given: { pod: Pod; texts: Texts },
  addresses: readonly string[] = [],
): Proxy {
  const read = readProxy(given.pod, configOf(given.texts).mesh, { addresses })
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  return read.value
}

/** A member of a tree by names and places. */
export function at(
  value: Json | undefined,
  ...path: readonly (string | number)[]
): Json | undefined {
  return path.reduce<Json | undefined>((here, step) => {
    if (Array.isArray(here) && typeof step === 'number') return here[step] as Json
    return isObject(here) ? here[`${step}`] : undefined
  }, value)
}

export function named(list: Json | undefined, name: string): JsonObject {
  const found = (list as readonly JsonObject[]).find((one) => one['name'] === name)
  if (found === undefined) throw new Error(`nothing is called ${name}`)
  return found
}
