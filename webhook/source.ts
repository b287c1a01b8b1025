import type { Source } from '../core/inject/config.ts'
import { good, type Problem, type Read } from '../core/problem.ts'
import { readFiles, watchFiles, type FileTexts, type Watch } from './files.ts'
import type { ReadConfig, Sources } from './injector.ts'
import { keepLastGood, readGuarded, type Report } from './last-good.ts'

export type { Report } from './last-good.ts'

/** A value that may be replaced while the process runs. Who takes `current()` keeps one snapshot. */
export type Live<T> = {
  readonly current: () => T
  /** Calls `listener` with every later value. */
  readonly onChange: (listener: (value: T) => void) => void
}

/** A value read from files. A bad update changes nothing but `problems`. */
export type LiveFiles<T> = Live<T> &
  Watch & {
    /** What the newest texts were refused for; empty while `current()` is made of them. */
    readonly problems: () => readonly Problem[]
  }

/** The files of the configuration by their flags; one not given is built in. */
export type ConfigFiles = {
  readonly mesh?: string
  readonly values?: string
  readonly injectConfig?: string
  readonly valuesOverlay?: string
}

/** The configuration of the injection, kept up to date with its files. */
export async function watchConfig<Config>(
  files: ConfigFiles,
  read: ReadConfig<Config>,
  report: Report<Config>,
  pollMs?: number,
): Promise<Read<LiveFiles<Config>>> {
  return watchLive(pathsOf(files), (texts) => read(sort(files, texts)), report, pollMs)
}

/**
 * Reads files and goes on reading them. The first texts must be right; later ones replace the value
 * when `read` takes them and are reported when not.
 */
export async function watchLive<T>(
  paths: readonly string[],
  read: (texts: readonly Source[]) => Read<T>,
  report: Report<T>,
  pollMs?: number,
): Promise<Read<LiveFiles<T>>> {
  const known = await readFiles(paths)
  const first = readAll(known, read)
  if (!first.ok) return first
  report.taken(first.value)
  const kept = keepLastGood<T, T>(report, first.value)
  const take = (found: FileTexts): void => {
    kept.offer(readAll(found, read))
  }
  const { close } = watchFiles(paths, known, take, pollMs)
  return good({ ...kept, close })
}

function readAll<T>(found: FileTexts, read: (texts: readonly Source[]) => Read<T>): Read<T> {
  if (found.problems.length > 0) return { ok: false, problems: found.problems }
  const path = found.texts.map((text) => text.path).join(', ')
  return readGuarded(path, () => read(found.texts))
}

/** The paths of the files that were given. */
export function pathsOf(files: ConfigFiles): readonly string[] {
  return PARTS.map((part) => files[part]).filter((path) => path !== undefined)
}

const PARTS = [
  'mesh',
  'values',
  'injectConfig',
  'valuesOverlay',
] as const satisfies readonly (keyof ConfigFiles)[]

/** The texts by what they say. */
export function sort(files: ConfigFiles, texts: readonly Source[]): Sources {
  return PARTS.reduce<Sources>((sources, part) => {
    const found = texts.find((text) => text.path === files[part])
    return found === undefined ? sources : { ...sources, [part]: found }
  }, {})
}
