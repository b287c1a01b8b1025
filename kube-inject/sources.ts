import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Refusal } from '../core/problem.ts'

/** One manifest file: what to call it, and its text with any byte order mark. */
export type Source = { readonly name: string; readonly text: string }

/** What standard input is called in messages. */
const STDIN_NAME = 'standard input'
const MANIFEST = /\.(?:ya?ml|json)$/

/**
 * The manifests behind names: a file, `-` for standard input, or a folder for the YAML and JSON files
 * in it and below it, in the order of their paths. Read one by one, so that memory stays flat.
 */
export function* readSources(names: readonly string[]): Generator<Source> {
  for (const name of names) {
    if (name === '-') yield { name: STDIN_NAME, text: readText(0, STDIN_NAME) }
    else for (const file of manifestFiles(name)) yield { name: file, text: readText(file, file) }
  }
}

/** The text of a file, which must be UTF-8. Throws a Refusal that names the file. */
export function readText(file: string | 0, name: string): string {
  const bytes = attempt(name, 'a file that can be read', () => readFileSync(file))
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    const offset = firstBadByte(bytes)
    const lines = bytes.subarray(0, offset).toString('utf8').split('\n')
    const path = `${name}:${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`
    const got = `byte 0x${(bytes[offset] ?? 0).toString(16).padStart(2, '0')}`
    throw new Refusal([{ path, got, want: 'UTF-8 text' }])
  }
}

function manifestFiles(name: string): readonly string[] {
  const isFolder = attempt(name, 'a file or folder', () => statSync(name)).isDirectory()
  if (!isFolder) return [name]
  const entries = attempt(name, 'a folder that can be read', () => readdirSync(name))
  return entries
    .toSorted()
    .map((entry) => join(name, entry))
    .flatMap((path) => (statSync(path).isDirectory() ? manifestFiles(path) : [path]))
    .filter((path) => MANIFEST.test(path))
}

function attempt<T>(name: string, want: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause)
    throw new Refusal([{ path: name, got, want }], { cause })
  }
}

/** Where the bytes differ from what their text would be written as. */
function firstBadByte(bytes: Buffer): number {
  const again = Buffer.from(bytes.toString('utf8'), 'utf8')
  let offset = 0
  while (offset < bytes.length && bytes[offset] === again[offset]) offset++
  return offset
}
