import { statSync } from 'node:fs'
import type { Subject } from '../core/analysis/model.ts'
import { isObject } from '../core/json.ts'
import { Refusal, type Problem } from '../core/problem.ts'
import { parseDocuments } from '../core/yaml.ts'
import { openSources, readText, type Source } from '../kube-inject/sources.ts'
import { locate } from './locate.ts'
import type { Place } from './reported.ts'
import { subjectsIn, type SubjectSetting } from './subjects.ts'

/** An object of a manifest, and where a JSON Pointer in it leads. */
export type FileObject = {
  readonly subject: Subject
  readonly placeOf: (path: string) => Place
}

/** Manifests that can be read more than once, one document at a time. */
export type Manifests = { readonly read: () => Generator<FileObject> }

/**
 * Opens manifests and reads all of them once, showing every object to `see`. Only what cannot be read
 * again, standard input for instance, stays in memory. Throws a Refusal with all problems of all files.
 */
export async function openManifests(
  names: readonly string[],
  setting: SubjectSetting,
  see: (object: FileObject) => void,
): Promise<Manifests> {
  const kept: { readonly name: string; readonly text: string | undefined }[] = []
  const problems: Problem[] = []
  for (const source of await openSources(names)) {
    const { name, text } = source
    kept.push({ name, text: isFile(name) ? undefined : text })
    for (const object of objectsIn(source, setting, problems)) see(object)
  }
  if (problems.length > 0) throw new Refusal(problems)
  return {
    *read() {
      for (const { name, text = readText(name, name) } of kept) {
        yield* objectsIn({ name, text }, setting, problems)
      }
    },
  }
}

/** Whether a name is a file that can be read again: no pipe, no URL. */
function isFile(name: string): boolean {
  return statSync(name, { throwIfNoEntry: false })?.isFile() === true
}

function* objectsIn(
  { name, text }: Pick<Source, 'name' | 'text'>,
  setting: SubjectSetting,
  problems: Problem[],
): Generator<FileObject> {
  for (const document of parseDocuments(name, text)) {
    if (!document.ok) {
      problems.push(...document.problems)
      continue
    }
    const { value, line } = document.value
    if (value === null) continue
    if (!isObject(value)) {
      problems.push({ path: `${name}:${line}`, got: JSON.stringify(value), want: 'an object' })
      continue
    }
    for (const { subject, path: root } of subjectsIn(value, setting)) {
      yield { subject, placeOf: (path) => ({ file: name, ...locate(document.value, root + path) }) }
    }
  }
}
