import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Refusal } from '../core/problem.ts'
import { inFormat, type Format } from './format.ts'
import { writeStdout, writeWhole } from './output.ts'
import type { Recorder } from './recorder.ts'
import type { Source } from './sources.ts'
import type { Spool } from './spool.ts'

/** Where manifests go. */
export type Destination =
  /** All as one stream. */
  | { readonly to: 'stdout' }
  | { readonly to: 'file'; readonly file: string }
  /** Each source to a file of its own below a folder, under the path that it has below its own. */
  | { readonly to: 'folder'; readonly folder: string }
  /** Each source that changes over itself. */
  | { readonly to: 'sources' }

/** Writes the manifests at the very end, out of a spool that the caller closes. */
export function makeWriter(
  destination: Destination,
  format: Format | undefined,
  spool: Spool,
): Recorder {
  const parts: Part[] = []
  let part: Part | undefined
  let last = ''
  const isOneStream = destination.to === 'stdout' || destination.to === 'file'
  return {
    take: (source, { before, text }) => {
      if (part?.source !== source) {
        part = { source, start: spool.size(), end: 0, isChanged: false }
        parts.push(part)
        if (!isOneStream) last = ''
      }
      const written = format === undefined ? text : inFormat(format, text)
      const isNext = part.start === spool.size() ? isOneStream : written !== text
      if (isNext && format !== 'json') spool.add(separator(last, written))
      spool.add(written)
      if (written !== '') last = written
      part.end = spool.size()
      if (written !== before) part.isChanged = true
    },
    finish: async () => {
      const whole = spool.read(0, spool.size())
      if (destination.to === 'stdout') return writeStdout(whole)
      if (destination.to === 'file') {
        writeWhole(destination.file, whole)
        return
      }
      for (const [file, { start, end }] of targetsOf(destination, parts)) {
        if (destination.to === 'folder') makeFolder(dirname(file))
        writeWhole(file, spool.read(start, end))
      }
    },
  }
}

/** Where the text of one source lies in the spool, in bytes. */
type Part = { readonly source: Source; readonly start: number; end: number; isChanged: boolean }

function targetsOf(
  destination: Extract<Destination, { to: 'folder' | 'sources' }>,
  parts: readonly Part[],
): ReadonlyMap<string, Part> {
  const targets = new Map<string, Part>()
  for (const part of parts) {
    if (destination.to === 'sources') {
      if (part.isChanged) targets.set(part.source.name, part)
      continue
    }
    const file = join(destination.folder, part.source.below)
    const other = targets.get(file)
    if (other !== undefined) {
      const got = `${other.source.name} and ${part.source.name}`
      throw new Refusal([{ path: file, got, want: 'one manifest for each file of the folder' }])
    }
    targets.set(file, part)
  }
  return targets
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true })
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause)
    throw new Refusal([{ path: folder, got, want: 'a folder that can be made' }], { cause })
  }
}

/** What has to stand between two texts so that their documents stay apart. */
function separator(before: string, next: string): string {
  if (before === '' || next === '') return ''
  const marker = /^\uFEFF?---(?:[ \t\r\n]|$)/.test(next) ? '' : '---\n'
  return (before.endsWith('\n') ? '' : '\n') + marker
}
