import { bad, good, type Read } from '../../core/problem.ts'

/** How the text of a setting is read. */
export type SettingKind = 'text' | 'switch' | 'number'

/** One setting: the environment variable is the name, the flag is the same in lower case with dashes. */
export type Setting = {
  /** The environment variable, as manifests write it. */
  readonly env: string
  readonly kind: SettingKind
  /** What counts where neither flag nor variable is given; empty where nothing is. */
  readonly default: string
  readonly help: string
}

/** The flag of a setting: `--mounted-cni-net-dir` for `MOUNTED_CNI_NET_DIR`. */
export function flagOf(setting: Setting): string {
  return `--${setting.env.toLowerCase().replaceAll('_', '-')}`
}

/** A TCP port, 0 for any that is free. */
export function readPort(path: string, text: string): Read<number> {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : -1
  return port >= 0 && port <= 65_535 ? good(port) : bad(path, text, 'a port from 0 to 65535')
}

/** Permissions of a file, three or four octal digits; nobody but the owner may write. */
export function readMode(path: string, text: string): Read<number> {
  const mode = /^0?[0-7]{3}$/.test(text) ? Number.parseInt(text, 8) : -1
  if (mode >= 0o400 && (mode & 0o022) === 0) return good(mode)
  return bad(path, text, 'octal permissions such as 0600 that let only the owner write')
}

/** One of the words that a setting knows. */
export function readWord<T extends string>(
  path: string,
  text: string,
  words: readonly T[],
): Read<T> {
  const word = words.find((one) => one === text)
  return word === undefined ? bad(path, text, `one of ${words.join(', ')}`) : good(word)
}

/** A comma-separated list: items trimmed, empty ones dropped, each once. */
export function readList(text: string): readonly string[] {
  const items = text.split(',').map((item) => item.trim())
  return [...new Set(items.filter((item) => item !== ''))]
}

/** An absolute path without `..`, so that what is written stays where the setting says; the plugin reads no `:`. */
export function readPath(path: string, text: string): Read<string> {
  const isGood = /^\/[^\p{Cc}:]*$/u.test(text) && !text.split('/').includes('..')
  return isGood ? good(text) : bad(path, text, 'an absolute path without .. and :')
}

/** Absolute paths, comma separated. */
export function readPaths(path: string, text: string): Read<readonly string[]> {
  const items = readList(text)
  const problems = items.flatMap((item) => {
    const read = readPath(path, item)
    return read.ok ? [] : read.problems
  })
  return problems.length === 0 ? good(items) : { ok: false, problems }
}

/** The name of a file, without a directory; as strict as the CNI specification is with names. */
export function readFileName(path: string, text: string): Read<string> {
  const isName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text)
  return isName ? good(text) : bad(path, text, 'a name of letters, digits, "_", "." and "-"')
}

/** The name of a file that holds a list of plugins. */
export function readListName(path: string, text: string): Read<string> {
  if (!text.endsWith('.conflist')) return bad(path, text, 'a name that ends in .conflist')
  return readFileName(path, text)
}

/** NAMESPACE/NAME of an object. */
export function readAttachment(
  path: string,
  text: string,
): Read<{ readonly namespace: string; readonly name: string }> {
  const [, namespace, name] = /^([a-z0-9-]+)\/([a-z0-9.-]+)$/.exec(text) ?? []
  if (namespace === undefined || name === undefined) return bad(path, text, 'NAMESPACE/NAME')
  return good({ namespace, name })
}
