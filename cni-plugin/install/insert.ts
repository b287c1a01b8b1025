/** Our entry in somebody else's list: pure, from document to document. */
import { isArray, isObject, isSame, type JsonObject } from '../../core/json.ts'
import { bad, good, type Read } from '../../core/problem.ts'
import { entriesOf, type ConfFile } from './conf-files.ts'

/** One plugin of a list. */
export type Entry = JsonObject & { readonly type: string }

/**
 * The list with the entry as its last plugin, exactly once. Name and version stay: runtimes keep their
 * caches, and plugins their addresses, under them. A single plugin becomes a list of two.
 */
export function withEntry(file: ConfFile, entry: Entry): Read<JsonObject> {
  const version = newestVersion(file.json)
  if (!canChain(version)) {
    const want = 'cniVersion 0.3.0 or newer: older networks cannot be chained'
    return bad(`${file.name} cniVersion`, version, want)
  }
  if (file.kind === 'single') return wrapped(file, entry)
  const plugins = file.json['plugins']
  const others = isArray(plugins) ? plugins.filter((plugin) => !isOf(plugin, entry.type)) : []
  if (others.length === 0) {
    return bad(`${file.name} plugins`, entry.type, 'the plugin of a network beside ours')
  }
  return good({ ...file.json, plugins: [...entriesOf({ plugins: others }), entry] })
}

/** The list without any entry of this type; undefined where nothing else is in it. */
export function withoutEntry(json: JsonObject, type: string): JsonObject | undefined {
  const others = entriesOf(json).filter((plugin) => !isOf(plugin, type))
  if (others.length === 0) return undefined
  return isArray(json['plugins']) ? { ...json, plugins: others } : json
}

/** A document of our own for Multus: one plugin that stands alone. */
export function standalone(entry: Entry): JsonObject {
  return { cniVersion: STANDALONE_VERSION, name: entry.type, ...entry }
}

/** What every Multus reads. */
const STANDALONE_VERSION = '0.3.1'

/** Whether a document says the same as another one, whatever the order of its members. */
export function saysSame(file: ConfFile | undefined, wanted: JsonObject): boolean {
  return file !== undefined && isSame(file.json, wanted)
}

/** The document as text: two spaces, a newline at the end. */
export function printConf(json: JsonObject): string {
  return `${JSON.stringify(json, null, 2)}\n`
}

/** The members that belong to the list move to it; what is left is its only plugin. */
function wrapped(file: ConfFile, entry: Entry): Read<JsonObject> {
  const { name, cniVersion, ...plugin } = file.json
  if (typeof name !== 'string' || name === '') {
    return bad(`${file.name} name`, '', 'the name of a network')
  }
  if (plugin['type'] === entry.type) {
    return bad(`${file.name} type`, entry.type, 'the plugin of a network beside ours')
  }
  return good({
    ...(cniVersion === undefined ? {} : { cniVersion }),
    name,
    plugins: [plugin, entry],
  })
}

function isOf(plugin: unknown, type: string): boolean {
  return isObject(plugin) && plugin['type'] === type
}

/** The version that a runtime takes: the newest that the document offers (CNI 1.1, `cniVersions`). */
function newestVersion(json: JsonObject): string {
  const listed = json['cniVersions']
  const offered = [json['cniVersion'], ...(isArray(listed) ? listed : [])]
  const texts = offered.filter((version) => typeof version === 'string')
  return texts.sort(compareVersions).at(-1) ?? ''
}

function canChain(version: string): boolean {
  return compareVersions(version, '0.3.0') >= 0
}

/** Orders versions by their numbers; a text that is none comes first. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [numbers(a), numbers(b)]
  for (let index = 0; index < 3; index++) {
    const difference = (left[index] ?? -1) - (right[index] ?? -1)
    if (difference !== 0) return difference
  }
  return 0
}

function numbers(version: string): readonly number[] {
  const [, ...parts] = /^v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(version) ?? []
  return parts.map((part) => Number(part || 0))
}
