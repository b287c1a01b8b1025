import {
  DEFAULT_REVISION,
  ENTRY_SUFFIX,
  ISTIO_ENTRY_SUFFIX,
  ISTIO_REVISION_LABEL,
  REVISION_LABEL,
} from '../constants.ts'
import type { Selector } from '../inject/selectors.ts'
import { compareBytes, own } from '../json.ts'
import type { StringMap } from '../k8s.ts'

/** Which entry of which MutatingWebhookConfiguration. */
export type GatePlace = {
  readonly name: string
  readonly configuration: GateConfiguration
  /** Its place among the entries of the configuration, from 0. */
  readonly index: number
}

/** One entry of a MutatingWebhookConfiguration, with the defaults that the API server fills in. */
export type GateEntry = GatePlace & {
  readonly rules: readonly GateRule[]
  readonly namespaceSelector: Selector
  readonly objectSelector: Selector
  readonly conditions: readonly GateCondition[]
  /** What becomes of a pod while nobody answers: refused, or created as it is. */
  readonly failurePolicy: 'Fail' | 'Ignore'
  /** Whether it is asked again when a later webhook changed the pod. */
  readonly reinvocationPolicy: 'Never' | 'IfNeeded'
  /** Seconds for one answer. */
  readonly timeoutSeconds: number
  readonly client: GateClient
  /** Certificates that what is behind it is verified with: PEM in base64, empty where there are none. */
  readonly caBundle: string
}

/** The object that an entry stands in. */
export type GateConfiguration = {
  /** Empty where it has none. */
  readonly name: string
  readonly labels: StringMap
  /** RFC 3339; undefined in a manifest. */
  readonly createdAt: string | undefined
}

/** Requests that an entry asks for; `*` stands for any. */
export type GateRule = {
  readonly operations: readonly string[]
  readonly apiGroups: readonly string[]
  readonly apiVersions: readonly string[]
  readonly resources: readonly string[]
  /** `Namespaced`, `Cluster` or `*`. */
  readonly scope: string
}

/** A condition in CEL, which the API server judges after the selectors. */
export type GateCondition = { readonly name: string; readonly expression: string }

/** Whom an entry calls. */
export type GateClient =
  | {
      readonly by: 'service'
      readonly namespace: string
      readonly name: string
      readonly port: number
      readonly path: string
    }
  | { readonly by: 'url'; readonly url: string }

/** Whose webhook an entry is: ours, istiod's, or one that injects no Istio sidecar as far as names tell. */
export type Owner = 'ours' | 'istio' | 'other'

/** Tells the owner by the name, as istiod and our own leader do when they write bundles. */
export function ownerOfEntry({ name }: GatePlace): Owner {
  if (endsIn(name, ENTRY_SUFFIX)) return 'ours'
  return endsIn(name, ISTIO_ENTRY_SUFFIX) ? 'istio' : 'other'
}

/** The entry's configuration and its own name, as messages name it. */
export function printEntry({ name, configuration }: GatePlace): string {
  return configuration.name === '' ? name : `${configuration.name}/${name}`
}

/** Sorts configurations as the API server asks them: by name. */
export function inOrder(a: GateConfiguration, b: GateConfiguration): number {
  return compareBytes(a.name, b.name)
}

/** The revision that a configuration says it is for; undefined where it says nothing. */
export function revisionOf({ labels }: GateConfiguration): string | undefined {
  const found = own(labels, REVISION_LABEL) ?? own(labels, ISTIO_REVISION_LABEL)
  return found === '' ? DEFAULT_REVISION : found
}

/** Whom the API server expects behind a client: a DNS name or an address; empty where none is named. */
export function hostOf(client: GateClient): string {
  if (client.by === 'service') {
    const { name, namespace } = client
    return name === '' || namespace === '' ? '' : `${name}.${namespace}.svc`
  }
  if (!URL.canParse(client.url)) return ''
  return new URL(client.url).hostname.replace(/^\[|\]$/g, '')
}

/** Whether a name is another, or one below it: `a.b.c` ends in `b.c`. */
export function endsIn(name: string, suffix: string): boolean {
  return name === suffix || name.endsWith(`.${suffix}`)
}
