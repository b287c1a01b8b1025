import type { Source } from '../core/inject/config.ts'
import type { Problem, Read } from '../core/problem.ts'
import { readFiles, watchFiles, type FileTexts, type Watch } from './files.ts'
import type { ReadConfig, Sources } from './injector.ts'

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

/** Who is told about each reading, the first one included: taken, or refused for these problems. */
export type Report<T> = {
  readonly taken: (value: T) => void
  readonly refused: (problems: readonly Problem[]) => void
}

/** The files of the configuration by their flags; one not given is built in. */
export type ConfigFiles = {
  readonly mesh?: string
  readonly values?: string
  readonly injectConfig?: string
}

/** The configuration of the injection, kept up to date with its files. */
export async function watchConfig<Config>(
  files: ConfigFiles,
  read: ReadConfig<Config>,
  report: Report<Config>,
  pollMs?: number,
): Promise<Read<LiveFiles<Config>>> {
  const { mesh, values, injectConfig } = files
  const paths = [mesh, values, injectConfig].filter((path) => path !== undefined)
  return watchLive(paths, (texts) => read(sort(files, texts)), report, pollMs)
}

/**
 * Reads files and goes on reading them. The first texts must be right; later ones replace the value
 * when `read` takes them and are reported when not. A value that throws in `read` is a bug of ours
 * and is treated like a refused one, because the last good value still serves.
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
  const listeners: ((value: T) => void)[] = []
  let current = first.value
  let problems: readonly Problem[] = []
  const take = (found: FileTexts): void => {
    const next = readAll(found, read)
    problems = next.ok ? [] : next.problems
    if (!next.ok) {
      report.refused(problems)
      return
    }
    current = next.value
    report.taken(current)
    for (const listener of listeners) listener(current)
  }
  const watch = watchFiles(paths, known, take, pollMs)
  return {
    ok: true,
    value: {
      current: () => current,
      onChange: (listener) => void listeners.push(listener),
      problems: () => problems,
      close: watch.close,
    },
  }
}

function readAll<T>(found: FileTexts, read: (texts: readonly Source[]) => Read<T>): Read<T> {
  if (found.problems.length > 0) return { ok: false, problems: found.problems }
  try {
    return read(found.texts)
  } catch (error) {
    const got = error instanceof Error ? error.message : String(error)
    const path = found.texts.map((text) => text.path).join(', ')
    return { ok: false, problems: [{ path, got, want: 'texts that can be read' }] }
  }
}

function sort(files: ConfigFiles, texts: readonly Source[]): Sources {
  const named = (name: keyof ConfigFiles): Sources => {
    const found = texts.find((text) => text.path === files[name])
    return found === undefined ? {} : { [name]: found }
  }
  return { ...named('mesh'), ...named('values'), ...named('injectConfig') }
}
