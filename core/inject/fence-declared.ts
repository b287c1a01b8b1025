/** Which template has which declaration: the built-in ones beside their texts, the operator's beside theirs. */
import { isObject, own, type Json, type JsonObject } from '../json.ts'
import { Refusal, type Problem, type Read } from '../problem.ts'
import { readDeclaration, type Declaration } from './fence-declaration.ts'

/** One template's declaration. */
export type Declared = {
  /** Ours: values and mesh may widen it. An operator's is his word, and checked when it is read. */
  readonly isBuiltIn: boolean
  /** Read when it is first asked for. */
  readonly read: () => Declaration
}

/** Texts and declarations, each by template name. */
export type DeclaredSources = {
  readonly texts: Readonly<Record<string, string>>
  readonly builtIn: Readonly<Record<string, string>>
  readonly builtInDeclarations: Readonly<Record<string, Json>>
  /** What the operator declares. */
  readonly own: JsonObject
}

/** The declarations by template. A text of the operator's without one has none, whatever its name. */
export function declarationsOf(sources: DeclaredSources): Read<ReadonlyMap<string, Declared>> {
  const { texts, builtIn, builtInDeclarations } = sources
  const declared = new Map<string, Declared>()
  const problems: Problem[] = []
  for (const [name, text] of Object.entries(texts)) {
    const ours = own(builtInDeclarations, name)
    if (ours === undefined || text !== own(builtIn, name)) continue
    declared.set(name, { isBuiltIn: true, read: once(() => known(name, ours)) })
  }
  for (const [name, value = null] of Object.entries(sources.own)) {
    const path = `declarations.${name}`
    if (!Object.hasOwn(texts, name)) {
      const want = `the name of a template: ${Object.keys(texts).sort().join(', ')}`
      problems.push({ path: 'declarations', got: name, want })
    }
    const read = readDeclaration(path, isObject(value) ? value : {})
    if (read.ok) declared.set(name, { isBuiltIn: false, read: () => read.value })
    else problems.push(...read.problems)
  }
  return problems.length === 0 ? { ok: true, value: declared } : { ok: false, problems }
}

function known(name: string, value: Json): Declaration {
  const read = readDeclaration(`template ${name}`, value)
  if (!read.ok) throw new Refusal(read.problems)
  return read.value
}

function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}
