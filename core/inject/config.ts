/**
 * Mesh, values and injector configuration -> one immutable InjectConfig, templates compiled. Read
 * once at start and at every reload; a request works on the one it was given.
 */
import { readProgram, TEMPLATE_DECLARATIONS, TEMPLATE_TEXTS } from '../generated/templates.ts'
import { isArray, isObject, type Json, type JsonObject } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import { good, type Problem, type Read } from '../problem.ts'
import { readYaml } from '../yaml.ts'
import { IGNORED_NAMESPACES, type InjectionPolicy } from './decide.ts'
import { declarationsOf, type Declared } from './fence-declared.ts'
import { checkDeclarations } from './fence-load.ts'
import { defaultMeshConfig, readMeshConfig, type MeshConfig } from './mesh-config.ts'
import type { ProxyConfigResource } from './proxy-config-layers.ts'
import { defaultProxyConfig, printProxyConfig, type ProxyConfig } from './proxy-config.ts'
import { builtInTemplate, compileTemplate, type Template } from './template.ts'
import { readValues, type IstioVersion, type Values } from './values.ts'
import { VERSION_TRAITS, type VersionTraits } from './versions.ts'

/** One text and what to call it in problems: a file's path or a ConfigMap's key. */
export type Source = { readonly path: string; readonly text: string }

/** What a configuration is read from; absent parts are the built-in defaults of the version. */
export type ConfigSources = {
  readonly mesh?: Source
  readonly values?: Source
  readonly injectConfig?: Source
  /** Values laid over the others. */
  readonly valuesOverlay?: Source
  readonly istioVersion: IstioVersion
  /** Empty for the default revision. */
  readonly revision: string
  /** `COMPLIANCE_POLICY` of the injector; empty for none. */
  readonly compliancePolicy?: string
  /** `PLATFORM` of the injector, such as `openshift`; empty for none. */
  readonly platform?: string
  /** ProxyConfig resources of the cluster, where there is one. */
  readonly proxyConfigs?: readonly ProxyConfigResource[]
  /** SHA-256 of a text, in hexadecimal. */
  readonly digest: (text: string) => string
}

/** Everything injection needs to know besides the pod. */
export type InjectConfig = {
  readonly istioVersion: IstioVersion
  readonly traits: VersionTraits
  /** Empty for the default revision. */
  readonly revision: string
  readonly compliancePolicy: string
  readonly platform: string
  readonly values: Values
  readonly mesh: MeshConfig
  /** The built-in ProxyConfig of the version: what PROXY_CONFIG leaves out. */
  readonly proxyDefaults: ProxyConfig
  /** PROXY_CONFIG of pods that say nothing about it. */
  readonly proxyConfigText: string
  /** ProxyConfig resources of the cluster. */
  readonly proxyConfigs: readonly ProxyConfigResource[]
  readonly policy: InjectionPolicy
  readonly templates: ReadonlyMap<string, Template>
  /** What templates may bring into a pod, by template; those that nobody declared are missing. */
  readonly declarations: ReadonlyMap<string, Declared>
  /** Whether a pod is refused that got more than that. */
  readonly isFenced: boolean
  readonly defaultTemplates: readonly string[]
  readonly aliases: Readonly<Record<string, readonly string[]>>
  /** Annotations that every injected pod gets through the webhook. */
  readonly injectedAnnotations: StringMap
  /** Digest of templates, values, mesh and version: what a pod was injected with. */
  readonly version: string
  /** SHA-256 of a text, in hexadecimal: the guard of a pod's redirect plan. */
  readonly digest: (text: string) => string
  /** What was read but has no effect, each a sentence. */
  readonly warnings: readonly string[]
}

/** Reads and checks everything; all problems of all sources are reported together. */
export function readInjectConfig(sources: ConfigSources): Read<InjectConfig> {
  const { istioVersion, revision } = sources
  const mesh = readMeshConfig(
    sources.mesh?.path ?? 'mesh',
    sources.mesh?.text,
    defaultMeshConfig(istioVersion),
  )
  const layers = [sources.values, sources.valuesOverlay].filter((one) => one !== undefined)
  const values = readValues(layers, istioVersion)
  const problems: Problem[] = []
  if (!mesh.ok) problems.push(...mesh.problems)
  if (!values.ok) problems.push(...values.problems)
  const document = readDocument(sources.injectConfig)
  if (!document.ok) problems.push(...document.problems)
  if (!mesh.ok || !values.ok || !document.ok) return { ok: false, problems }

  const given = document.value
  const webhook = values.value.sidecarInjectorWebhook
  const warnings: string[] = []
  const own = { ...webhook.templates, ...given.templates }
  const texts = templateTexts(istioVersion, own, warnings, problems)
  const templates = new Map<string, Template>()
  for (const [name, text] of Object.entries(texts)) {
    const template =
      text === TEMPLATE_TEXTS[istioVersion]?.[name]
        ? good(builtInTemplate(name, text, () => readProgram(istioVersion, name)))
        : compileTemplate(name, text)
    if (template.ok) templates.set(name, template.value)
    else problems.push(...template.problems)
  }
  const declared = declarationsOf({
    texts,
    builtIn: TEMPLATE_TEXTS[istioVersion] ?? {},
    builtInDeclarations: TEMPLATE_DECLARATIONS[istioVersion] ?? {},
    own: { ...webhook.declarations, ...given.declarations },
  })
  if (!declared.ok) problems.push(...declared.problems)
  if (problems.length > 0 || !declared.ok) return { ok: false, problems }

  const proxyDefaults = defaultProxyConfig(istioVersion)
  const defaultTemplates = given.defaultTemplates ?? webhook.defaultTemplates
  const config: InjectConfig = {
    istioVersion,
    traits: VERSION_TRAITS[istioVersion],
    revision: revision === 'default' ? '' : revision,
    compliancePolicy: sources.compliancePolicy ?? '',
    platform: sources.platform ?? '',
    values: values.value,
    mesh: mesh.value,
    proxyDefaults,
    proxyConfigText: printProxyConfig(mesh.value.defaultConfig, proxyDefaults),
    proxyConfigs: sources.proxyConfigs ?? [],
    policy: {
      policy: given.policy ?? values.value.global.proxy.autoInject,
      neverInjectSelector: given.neverInjectSelector ?? webhook.neverInjectSelector,
      alwaysInjectSelector: given.alwaysInjectSelector ?? webhook.alwaysInjectSelector,
      ignoredNamespaces: IGNORED_NAMESPACES,
    },
    templates,
    declarations: declared.value,
    isFenced: values.value.sidecarInjector.fence,
    defaultTemplates: defaultTemplates.length > 0 ? defaultTemplates : ['sidecar'],
    aliases: given.aliases ?? webhook.aliases,
    injectedAnnotations: given.injectedAnnotations ?? webhook.injectedAnnotations,
    version: sources.digest(
      JSON.stringify([istioVersion, texts, values.value.raw, sources.mesh?.text ?? '']),
    ),
    digest: sources.digest,
    warnings,
  }
  const undeclared = checkDeclarations(config)
  return undeclared.length === 0 ? good(config) : { ok: false, problems: undeclared }
}

type Texts = Readonly<Record<string, string>>

/**
 * The built-in templates with the operator's laid over them. A Go template under a built-in name is
 * what Istio itself wrote into its ConfigMap: ours is used. Under another name somebody relies on it.
 */
function templateTexts(
  version: IstioVersion,
  own: Texts,
  warnings: string[],
  problems: Problem[],
): Texts {
  const builtIn = TEMPLATE_TEXTS[version] ?? {}
  const texts: Record<string, string> = { ...builtIn }
  for (const [name, text] of Object.entries(own)) {
    if (!isGoTemplate(text)) texts[name] = text
    else if (ISTIO_TEMPLATES.includes(name)) {
      warnings.push(
        Object.hasOwn(builtIn, name)
          ? `template ${name}: a Go template, the built-in one of this name is used`
          : `template ${name}: a Go template that is not for sidecars, ignored`,
      )
    } else {
      problems.push({
        path: `template ${name}`,
        got: 'a Go template',
        want: 'a Handlebars template (docs/guides/templates.md tells how to rewrite it)',
      })
    }
  }
  return texts
}

/** Names that Istio's own ConfigMap carries: for sidecars, and for its Gateway controller. */
const ISTIO_TEMPLATES = [
  'sidecar',
  'gateway',
  'grpc-agent',
  'grpc-simple',
  'waypoint',
  'kube-gateway',
  'agentgateway',
  'agentgateway-waypoint',
]

/** Whether a text uses the actions of Go templates, which Handlebars has not. */
export function isGoTemplate(text: string): boolean {
  return /\{\{-|-\}\}|\{\{\s*(?:[.$][\w.]|(?:if|range|with|end|define|template|block|include|toYaml)\b)/.test(
    text,
  )
}

/** The injector's own document; an absent member leaves the matter to the values. */
type InjectDocument = {
  readonly policy?: string
  readonly defaultTemplates?: readonly string[]
  readonly aliases?: Readonly<Record<string, readonly string[]>>
  readonly neverInjectSelector?: readonly Json[]
  readonly alwaysInjectSelector?: readonly Json[]
  readonly injectedAnnotations?: StringMap
  readonly templates: Texts
  readonly declarations: JsonObject
}

function readDocument(source: Source | undefined): Read<InjectDocument> {
  if (source === undefined) return { ok: true, value: { templates: {}, declarations: {} } }
  const { path } = source
  const read = readYaml(path, source.text)
  if (!read.ok) return read
  if (read.value === null) return { ok: true, value: { templates: {}, declarations: {} } }
  if (!isObject(read.value)) {
    return { ok: false, problems: [{ path, got: JSON.stringify(read.value), want: 'a map' }] }
  }
  const problems: Problem[] = []
  const fields = fieldsOf(path, read.value, problems)
  const policy = fields.text('policy')
  const defaultTemplates = fields.list('defaultTemplates', isText, 'a list of template names')
  const never = fields.list('neverInjectSelector', isJsonObject, 'a list of label selectors')
  const always = fields.list('alwaysInjectSelector', isJsonObject, 'a list of label selectors')
  const annotations = fields.map('injectedAnnotations', isText, 'a map of texts')
  const aliases = fields.map('aliases', isTextList, 'a map of lists of template names')
  const templates = fields.map('templates', isText, 'a map of template texts') ?? {}
  const declarations = fields.map('declarations', isJsonObject, 'a map of declarations') ?? {}
  if (problems.length > 0) return { ok: false, problems }
  return {
    ok: true,
    value: {
      templates,
      declarations,
      ...(policy === undefined ? {} : { policy }),
      ...(defaultTemplates === undefined ? {} : { defaultTemplates }),
      ...(never === undefined ? {} : { neverInjectSelector: never }),
      ...(always === undefined ? {} : { alwaysInjectSelector: always }),
      ...(annotations === undefined ? {} : { injectedAnnotations: annotations }),
      ...(aliases === undefined ? {} : { aliases }),
    },
  }
}

/** Readers for the members of one map; null counts as absent, and so does what is refused. */
function fieldsOf(path: string, document: JsonObject, problems: Problem[]) {
  const refuse = (name: string, value: Json, want: string): void => {
    problems.push({ path: `${path}: ${name}`, got: JSON.stringify(value), want })
  }
  return {
    text(name: string): string | undefined {
      const value = document[name] ?? null
      if (typeof value === 'string') return value
      if (value !== null) refuse(name, value, 'text')
      return undefined
    },
    list<T extends Json>(
      name: string,
      isItem: (item: Json) => item is T,
      want: string,
    ): readonly T[] | undefined {
      const value = document[name] ?? null
      if (isArray(value) && value.every(isItem)) return value
      if (value !== null) refuse(name, value, want)
      return undefined
    },
    map<T extends Json>(
      name: string,
      isItem: (item: Json) => item is T,
      want: string,
    ): Readonly<Record<string, T>> | undefined {
      const value = document[name] ?? null
      if (value === null) return undefined
      if (!isObject(value)) {
        refuse(name, value, want)
        return undefined
      }
      const map: Record<string, T> = {}
      for (const [key, item] of Object.entries(value)) {
        if (item !== undefined && isItem(item)) map[key] = item
        else refuse(`${name}.${key}`, item ?? null, want)
      }
      return map
    },
  }
}

function isText(value: Json): value is string {
  return typeof value === 'string'
}

function isTextList(value: Json): value is readonly string[] {
  return isArray(value) && value.every((item) => typeof item === 'string')
}

function isJsonObject(value: Json): value is JsonObject {
  return isObject(value)
}
