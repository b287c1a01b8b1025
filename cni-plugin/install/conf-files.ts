/** The configuration files of a node, as its container runtime reads them. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { compareBytes, isArray, isObject, type JsonObject } from '../../core/json.ts'
import { hasCode, isMissing } from './files.ts'

/** A file that a runtime can load: a list of plugins, or a single one. */
export type ConfFile = {
  readonly kind: 'list' | 'single'
  readonly name: string
  readonly path: string
  readonly bytes: Buffer
  readonly json: JsonObject
  /** The permission bits. */
  readonly mode: number
  readonly owner: { readonly uid: number; readonly gid: number }
}

/** All files with the name of a configuration, in the order in which runtimes try them. */
export type NetDir = {
  readonly files: readonly ConfFile[]
  /** Files that no runtime can load, and why. */
  readonly broken: readonly { readonly name: string; readonly why: string }[]
}

/** What runtimes look at (libcni ConfFiles as containerd and CRI-O call it); they sort by bytes. */
const ENDING = /\.(conf|conflist|json)$/

/** Reads the directory. One that is not there holds nothing yet. */
export async function readNetDir(folder: string): Promise<NetDir> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (isMissing(error)) return []
    throw error
  })
  const files: ConfFile[] = []
  const broken: { name: string; why: string }[] = []
  for (const name of names.filter((name) => ENDING.test(name)).sort(compareBytes)) {
    const found = await readConfFile(folder, name)
    if (found === undefined) continue
    if ('why' in found) broken.push(found)
    else files.push(found)
  }
  return { files, broken }
}

/** Whether a list has an entry of this type, or a single file is of it. */
export function mentions(file: ConfFile, type: string): boolean {
  return entriesOf(file.json).some((entry) => entry['type'] === type)
}

/** The plugins of a list; a single file is its own. */
export function entriesOf(json: JsonObject): readonly JsonObject[] {
  const plugins = json['plugins']
  return isArray(plugins) ? plugins.filter(isObject) : [json]
}

/** Undefined where the file went away meanwhile, or is no file. */
async function readConfFile(
  folder: string,
  name: string,
): Promise<ConfFile | { readonly name: string; readonly why: string } | undefined> {
  const path = join(folder, name)
  try {
    const at = await stat(path)
    if (!at.isFile()) return undefined
    const bytes = await readFile(path)
    const json = readJson(bytes.toString('utf8'))
    if (json === undefined) return { name, why: 'is no JSON object' }
    const kind = name.endsWith('.conflist') ? 'list' : 'single'
    const why = whyNot(kind, json)
    if (why !== undefined) return { name, why }
    const { uid, gid } = at
    return { kind, name, path, bytes, json, mode: at.mode & 0o777, owner: { uid, gid } }
  } catch (error) {
    if (isMissing(error)) return undefined
    if (hasCode(error, 'EACCES')) return { name, why: 'cannot be read by this process' }
    throw error
  }
}

function readJson(text: string): JsonObject | undefined {
  try {
    const json: unknown = JSON.parse(text)
    return isObject(json) ? json : undefined
  } catch {
    return undefined
  }
}

/** What libcni asks of a file before it takes it. */
function whyNot(kind: ConfFile['kind'], json: JsonObject): string | undefined {
  if (kind === 'single') return hasType(json) ? undefined : 'has no type'
  if (typeof json['name'] !== 'string' || json['name'] === '') return 'has no name'
  const plugins = json['plugins']
  if (!isArray(plugins) || plugins.length === 0) return 'has no plugins'
  return plugins.every(hasType) ? undefined : 'has a plugin without type'
}

function hasType(plugin: unknown): boolean {
  return isObject(plugin) && typeof plugin['type'] === 'string' && plugin['type'] !== ''
}
