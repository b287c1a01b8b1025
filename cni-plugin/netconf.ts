import { isArray, isObject, type JsonObject } from '../core/json.ts'
import type { Problem, Read } from '../core/problem.ts'
import { Failure } from './codes.ts'
import { readOptions, type Options } from './options.ts'
import { isIdentifier, summarize } from './protocol.ts'
import { findVersion, UNSAID, VERSIONS, type CniVersion } from './versions.ts'

/** The configuration of one call, as the runtime put it together. */
export type NetConf = {
  /** Name of the network. */
  readonly name: string
  readonly version: CniVersion
  readonly previous: JsonObject | undefined
  readonly annotations: GivenAnnotations
  /** Resolvers that the runtime will write into the pod's resolv.conf; absent where it does not say. */
  readonly resolvers: readonly string[] | undefined
  readonly options: Options
}

/**
 * The annotations as a runtime hands them over. `absent`: it does not; `empty`: the pod has none; or the
 * map, of which only texts count.
 */
export type GivenAnnotations =
  | { readonly kind: 'absent' }
  | { readonly kind: 'empty' }
  | { readonly kind: 'map'; readonly map: Readonly<Record<string, string>> }

/** The capability under which containerd and CRI-O hand over the annotations of a pod. */
export const ANNOTATIONS_CAPABILITY = 'io.kubernetes.cri.pod-annotations'
/** The capability under which containerd hands over the resolvers of a pod (CNI conventions). */
export const DNS_CAPABILITY = 'dns'

/** Reads what came on standard input. Throws a Failure: 6 for no JSON, 7 for a wrong key, 1 for the version. */
export function readNetConf(text: string): NetConf {
  const json = parse(text)
  const { name } = json
  if (typeof name !== 'string' || !isIdentifier(name)) {
    const want = 'the name of a network: letters, digits, "_", "." and "-"'
    refuse([{ path: 'name', got: shown(name), want }])
  }
  const said = json['cniVersion'] ?? ''
  const version = said === '' ? UNSAID : typeof said === 'string' ? findVersion(said) : undefined
  if (version === undefined) {
    throw new Failure(
      'version',
      `incompatible CNI versions: the network has ${shown(said)}`,
      `config is ${shown(said)}, plugin supports ${VERSIONS.join(', ')}`,
    )
  }
  const { options, problems: wrong } = readOptions(json)
  const problems = [...wrong]
  const previous = json['prevResult'] ?? undefined
  if (previous !== undefined && !isObject(previous)) {
    problems.push({ path: 'prevResult', got: shown(previous), want: 'a result, as a JSON object' })
  }
  const runtime = json['runtimeConfig'] ?? {}
  if (!isObject(runtime)) {
    problems.push({ path: 'runtimeConfig', got: shown(runtime), want: 'a JSON object' })
  }
  const annotations = readAnnotations(isObject(runtime) ? runtime : {})
  if (!annotations.ok) problems.push(...annotations.problems)
  if (problems.length > 0) refuse(problems)
  return {
    name,
    version,
    previous: isObject(previous) ? previous : undefined,
    annotations: annotations.ok ? annotations.value : { kind: 'absent' },
    resolvers: readResolvers(isObject(runtime) ? runtime : {}),
    options,
  }
}

function parse(text: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    // The parser's own words may quote the text, which may hold what nobody else should read.
    throw new Failure(
      'decode',
      'standard input: got no JSON, want the network configuration',
      undefined,
      { cause },
    )
  }
  if (isObject(value)) return value
  throw new Failure(
    'decode',
    'standard input: got JSON that is no object, want the network configuration',
  )
}

function readAnnotations(runtime: JsonObject): Read<GivenAnnotations> {
  if (!Object.hasOwn(runtime, ANNOTATIONS_CAPABILITY))
    return { ok: true, value: { kind: 'absent' } }
  const value = runtime[ANNOTATIONS_CAPABILITY] ?? null
  if (value === null) return { ok: true, value: { kind: 'empty' } }
  const path = `runtimeConfig.${ANNOTATIONS_CAPABILITY}`
  if (!isObject(value)) {
    return { ok: false, problems: [{ path, got: shown(value), want: 'a map of texts' }] }
  }
  const entries = Object.entries(value)
  const wrong = entries.find(([, item]) => typeof item !== 'string')
  if (wrong !== undefined) {
    return {
      ok: false,
      problems: [{ path: `${path}.${wrong[0]}`, got: shown(wrong[1]), want: 'a text' }],
    }
  }
  const texts = entries.flatMap(([key, item]): [string, string][] =>
    typeof item === 'string' ? [[key, item]] : [],
  )
  return texts.length === 0
    ? { ok: true, value: { kind: 'empty' } }
    : { ok: true, value: { kind: 'map', map: Object.fromEntries(texts) } }
}

function readResolvers(runtime: JsonObject): readonly string[] | undefined {
  const dns = runtime[DNS_CAPABILITY]
  const servers = isObject(dns) ? dns['servers'] : undefined
  if (!isArray(servers) || servers.length === 0) return undefined
  return servers.filter((server) => typeof server === 'string')
}

function refuse(problems: readonly Problem[]): never {
  const { message, details } = summarize(problems)
  throw new Failure('config', message, details)
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null)
}
