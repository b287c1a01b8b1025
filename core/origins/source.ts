/** What a value was computed from: the places where a user or an operator can change it. */
import type { JsonObject, Json } from '../json.ts'
import { isArray, isObject, isSame, own } from '../json.ts'
import type { Pod, StringMap } from '../k8s.ts'
import { PROXY_CONFIG_ANNOTATION } from '../constants.ts'
import { quoted, visible } from '../problem.ts'
import type { InjectConfig } from '../inject/config.ts'
import type { TemplateContext } from '../inject/context-schema.ts'
import type { InjectRequest } from '../inject/decision.ts'
import type { Facts } from '../inject/facts.ts'
import { defaultMeshConfig } from '../inject/mesh-config.ts'
import { readProxyConfig } from '../inject/proxy-config.ts'
import { valueAt } from '../inject/proxy-config-read.ts'
import { defaultValues } from '../inject/values-defaults.ts'

/** One place that a value comes from. */
export type Source = {
  readonly kind: SourceKind
  /** A key, a JSON Pointer in the pod, or the dotted name of a field. */
  readonly name: string
  /** What stands there, in text; absent where nothing does. */
  readonly got?: string
  /** Whether it is the default that is built in. */
  readonly isBuiltIn?: true
}

export type SourceKind = keyof typeof KINDS

/** What each kind is called. */
const KINDS = {
  annotation: 'annotation',
  label: 'label',
  pod: 'pod',
  namespace: 'annotation of the namespace',
  values: 'values',
  mesh: 'mesh config',
  'proxy-config': 'ProxyConfig',
  'proxy-config-annotation': `annotation ${PROXY_CONFIG_ANNOTATION}, field`,
  'proxy-config-resource': 'a ProxyConfig resource of the cluster, field',
  config: 'injector configuration',
  injector: 'the injector',
  owner: "the pod's owner,",
  url: "the path of the webhook's URL,",
} as const

/** A source on one line, safe for a terminal: `annotation key "text"`, `values a.b "text" (built-in)`. */
export function describeSource({ kind, name, got, isBuiltIn }: Source): string {
  const value = got === undefined ? '' : ` ${quoted(got)}`
  const origin = isBuiltIn === true ? (got === undefined ? ' (not set)' : ' (built-in)') : ''
  return `${KINDS[kind]} ${visible(name)}${value}${origin}`
}

/** Everything that sources are looked for in. */
export type SourceFacts = {
  /** The pod as it came. */
  readonly before: Pod
  /** The pod that templates saw. */
  readonly view: Pod
  readonly annotations: StringMap
  readonly labels: StringMap
  readonly request: InjectRequest
  readonly config: InjectConfig
  readonly facts: Facts
  readonly context: TemplateContext
}

/** Finds what a value comes from. `item` is the item of a context's list that it belongs to. */
export type Find = (facts: SourceFacts, item: Item) => readonly Source[]

/** An item of a list and its number; null and -1 outside of lists. */
export type Item = { readonly value: Json; readonly index: number }

/** All of them. */
export function all(...finds: readonly Find[]): Find {
  return (facts, item) => finds.flatMap((find) => find(facts, item))
}

/** The first that finds anything: how an annotation stands before a default. */
export function first(...finds: readonly Find[]): Find {
  return (facts, item) => {
    for (const find of finds) {
      const found = find(facts, item)
      if (found.length > 0) return found
    }
    return []
  }
}

/** The annotation, where the pod has it, even an empty one. */
export function annotation(name: string): Find {
  return ({ annotations }) => {
    const got = own(annotations, name)
    return got === undefined ? [] : [{ kind: 'annotation', name, got }]
  }
}

/** The annotation, where it says anything. */
export function saidAnnotation(name: string): Find {
  return (facts) => (own(facts.annotations, name) ? annotation(name)(facts, NO_ITEM) : [])
}

/** The label, where it says anything. */
export function label(name: string): Find {
  return ({ labels }) => {
    const got = own(labels, name) ?? ''
    return got === '' ? [] : [{ kind: 'label', name, got }]
  }
}

/** A Helm value by its dotted name, set or not. */
export function values(name: string): Find {
  return ({ config }) => {
    const got = textOf(valueAt(config.values.raw, name.split('.')))
    const builtIn = textOf(valueAt(builtInOf(config).values, name.split('.')))
    return [source('values', name, got, got === builtIn)]
  }
}

/** The same, where it says anything. */
export function saidValues(name: string): Find {
  return (facts, item) => values(name)(facts, item).filter(({ got }) => (got ?? '') !== '')
}

/** A field of MeshConfig, set or not. */
export function mesh(name: string): Find {
  return ({ config }) => {
    const got = textOf(valueAt(config.mesh.raw, name.split('.')))
    const builtIn = textOf(valueAt(builtInOf(config).mesh, name.split('.')))
    return [source('mesh', name, got, got === builtIn)]
  }
}

/** The same, where it says anything. */
export function saidMesh(name: string): Find {
  return (facts, item) => mesh(name)(facts, item).filter(({ got }) => (got ?? '') !== '')
}

/** A field of the pod's ProxyConfig, told by the layer that set it; the whole of it by an empty name. */
export function proxyConfig(name: string): Find {
  return ({ annotations, config, facts }) => {
    const steps = name === '' ? [] : [name.split('.')[0] ?? '', name.split('.').slice(1).join('.')]
    const at = (fields: JsonObject) =>
      valueAt(
        fields,
        steps.filter((step) => step !== ''),
      )
    const { effective, annotated } = facts.proxyConfigs
    const value = at(effective.fields)
    const shown = name === '' ? 'all fields' : name
    const got = name === '' ? undefined : textOf(value)
    if (!isSame(value, at(annotated.fields))) return [source('proxy-config-resource', shown, got)]
    const text = own(annotations, PROXY_CONFIG_ANNOTATION)
    const layer = text === undefined ? undefined : readProxyConfig(PROXY_CONFIG_ANNOTATION, text)
    if (layer?.ok === true && at(layer.value.fields) !== undefined && name !== '') {
      return [source('proxy-config-annotation', name, got)]
    }
    if (text !== undefined && name === '')
      return [source('annotation', PROXY_CONFIG_ANNOTATION, text)]
    const isBuiltIn = isSame(value, at(config.proxyDefaults.fields))
    return [source('mesh', `defaultConfig${name === '' ? '' : `.${name}`}`, got, isBuiltIn)]
  }
}

/** Something of the injector itself. */
export function injector(name: string, read: (facts: SourceFacts) => string | undefined): Find {
  return (facts) => [source('injector', name, read(facts))]
}

/** Part of what owns the pod. */
export function owner(name: 'name' | 'namespace' | 'kind' | 'apiVersion'): Find {
  return ({ request }) => [source('owner', name, request.owner[name])]
}

/** A place of the pod as it came, where there is one. */
export function podAt(path: string): Find {
  return () => [{ kind: 'pod', name: path }]
}

/** A source with what stands there. */
export function source(kind: SourceKind, name: string, got?: string, isBuiltIn = false): Source {
  return { kind, name, ...(got !== undefined && { got }), ...(isBuiltIn && { isBuiltIn }) }
}

export const NO_ITEM: Item = { value: null, index: -1 }

/** What is built in for the version of a configuration, put together once. */
function builtInOf(config: InjectConfig): BuiltIn {
  const known = BUILT_IN.get(config)
  if (known !== undefined) return known
  const { istioVersion } = config
  const made = { values: defaultValues(istioVersion), mesh: defaultMeshConfig(istioVersion).raw }
  BUILT_IN.set(config, made)
  return made
}

type BuiltIn = { readonly values: JsonObject; readonly mesh: JsonObject }

const BUILT_IN = new WeakMap<InjectConfig, BuiltIn>()

/** A value as text: texts as they are, the rest as JSON; nothing for null, `{}` and `[]`. */
function textOf(value: Json | undefined): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string') return value
  const isEmpty = isArray(value)
    ? value.length === 0
    : isObject(value) && Object.keys(value).length === 0
  return isEmpty ? undefined : JSON.stringify(value)
}
