/** Which files of the configuration directory have to change: pure, from what was read. */
import { compareBytes, type JsonObject } from '../../core/json.ts'
import { formatProblem } from '../../core/problem.ts'
import type { Change, Known } from './change.ts'
import { entriesOf, mentions, type ConfFile, type NetDir } from './conf-files.ts'
import { printConf, saysSame, standalone, withEntry, withoutEntry, type Entry } from './insert.ts'

/** What is wanted. */
export type ConfWish = {
  readonly folder: string
  readonly entry: Entry
  readonly mode: ConfMode
  /** The file to join; undefined for the one that the runtime takes. */
  readonly confName: string | undefined
  /** The name that a file of ours has in `owned` mode. */
  readonly ownedFileName: string
  /** Permissions of files that are ours. */
  readonly fileMode: number
  /** Whether files that cannot be read have been so for long enough to be passed over. */
  readonly isPatient: boolean
}

/** `chained`: in the primary's file. `owned`: in a copy of it that wins. `standalone`: a file for Multus. */
export type ConfMode = 'chained' | 'owned' | 'standalone'

/** What has to be done, or what is waited for. */
export type ConfPlan = {
  readonly changes: readonly Change[]
  readonly waitsFor?: string
  readonly warnings: readonly string[]
  /** The file that makes the runtime call us, once the changes are made. */
  readonly active?: string
}

/** Works out the changes, in the order in which they are safe: what replaces a file is there before it goes. */
export function planConf(dir: NetDir, wish: ConfWish): ConfPlan {
  if (wish.mode === 'standalone') return { ...planStandalone(dir, wish), warnings: [] }
  const primaries = dir.files.filter((file) => isPrimary(file, wish))
  const primary = wish.confName === undefined ? primaries[0] : findTwin(primaries, wish.confName)
  if (primary === undefined) return { ...planNothing(dir, wish), warnings: [] }
  const doubtful = dir.broken.find(
    ({ name }) => wish.confName === undefined && isBefore(name, primary.name),
  )
  if (doubtful !== undefined && wish.isPatient) {
    const waitsFor = `${doubtful.name} ${doubtful.why}: it may be half written`
    return { changes: [], waitsFor, warnings: [] }
  }
  const warnings = dir.broken.map(({ name, why }) => `${name} ${why}: passed over`)
  const first = primaries[0]
  if (first !== undefined && isBefore(first.name, primary.name)) {
    warnings.push(`${first.name} sorts before ${primary.name}, which CNI_CONF_NAME names`)
  }
  const wanted = withEntry(primary, wish.entry)
  if (!wanted.ok) {
    return { changes: [], waitsFor: wanted.problems.map(formatProblem).join('; '), warnings }
  }
  const planned =
    wish.mode === 'owned'
      ? planOwned(dir, wish, primary, wanted.value)
      : planChained(dir, wish, primary, wanted.value)
  return { ...planned, warnings }
}

/** What tells our files and entries from those of others. */
export type Ours = { readonly type: string; readonly ownedFileName: string }

/** Every file without us; files that hold nothing else go, and so does our copy of a list. */
export function planRemoval(dir: NetDir, ours: Ours): readonly Change[] {
  return dir.files.filter((file) => mentions(file, ours.type)).map((file) => leave(file, ours))
}

type Planned = Omit<ConfPlan, 'warnings'>

function planChained(dir: NetDir, wish: ConfWish, primary: ConfFile, wanted: JsonObject): Planned {
  const { type } = wish.entry
  if (primary.kind === 'list') {
    const { path, mode, owner, bytes, name } = primary
    const unless: readonly Known[] = [{ path, bytes }]
    const write = { do: 'write', path, text: printConf(wanted), mode, owner, unless } as const
    const changes = saysSame(primary, wanted) ? [] : [{ ...write, why: 'our entry belongs in it' }]
    return { changes: [...changes, ...leaveOthers(dir, wish, [name])], active: name }
  }
  const name = listNameOf(primary.name)
  const list = dir.files.find((file) => file.name === name)
  if (list !== undefined && !mentions(list, type)) {
    const waitsFor = `${primary.name} and ${name} are both there: one of them has to go`
    return { changes: [], waitsFor }
  }
  const path = primary.path.slice(0, -primary.name.length) + name
  const old: Known = { path: primary.path, bytes: primary.bytes }
  const write: Change = {
    do: 'write',
    path,
    text: printConf(wanted),
    mode: primary.mode,
    owner: primary.owner,
    unless: [old, { path, bytes: list?.bytes }],
    why: `${primary.name} becomes a list, with our entry in it`,
  }
  const why = `${name} stands for it`
  return {
    changes: [
      ...(saysSame(list, wanted) ? [] : [write]),
      { do: 'remove', path: primary.path, unless: [old], why },
      ...leaveOthers(dir, wish, [name, primary.name]),
    ],
    active: name,
  }
}

function planOwned(dir: NetDir, wish: ConfWish, primary: ConfFile, wanted: JsonObject): Planned {
  const { folder, ownedFileName: name, fileMode: mode } = wish
  const first = dir.files.find((file) => file.name !== name)
  if (first !== undefined && isBefore(first.name, name)) {
    return { changes: [], waitsFor: `${first.name} sorts before ${name}: give ours another name` }
  }
  const own = dir.files.find((file) => file.name === name)
  const path = `${folder}/${name}`
  const unless = [{ path: primary.path, bytes: primary.bytes }]
  const why = `a copy of ${primary.name} with our entry in it`
  const write = { do: 'write', path, text: printConf(wanted), mode, unless, why } as const
  return {
    changes: [...(saysSame(own, wanted) ? [] : [write]), ...leaveOthers(dir, wish, [name])],
    active: name,
  }
}

function planStandalone(dir: NetDir, wish: ConfWish): Planned {
  const name = wish.confName ?? `${wish.entry.type}.conf`
  const wanted = standalone(wish.entry)
  const own = dir.files.find((file) => file.name === name)
  const path = `${wish.folder}/${name}`
  const why = 'a network of our own, for Multus'
  const write = { do: 'write', path, text: printConf(wanted), mode: wish.fileMode, why } as const
  return {
    changes: [
      ...(saysSame(own, wanted) ? [] : [{ ...write, unless: [] }]),
      ...leaveOthers(dir, wish, [name]),
    ],
    active: name,
  }
}

/** There is no network to join yet. A list of only ourselves would make the node look ready: never write one. */
function planNothing(dir: NetDir, wish: ConfWish): Planned {
  const { confName, folder } = wish
  const file = confName ?? 'a network configuration'
  const isBroken = dir.broken.length > 0
  const waitsFor = isBroken
    ? `${dir.broken.map(({ name, why }) => `${name} ${why}`).join('; ')}: ${folder} holds no other`
    : `${file} in ${folder}: the node's own network plugin writes it`
  // Our copy of a network that is gone must not outlive it; of one that is half written, it does.
  const gone = wish.mode === 'owned' && !isBroken && confName === undefined
  return { changes: gone ? leaveOthers(dir, wish, []) : [], waitsFor }
}

/** A network that is not ours alone, and not a copy of ours. */
function isPrimary(file: ConfFile, wish: ConfWish): boolean {
  const { type } = wish.entry
  if (file.name === wish.ownedFileName && mentions(file, type)) return false
  return entriesOf(file.json).some((entry) => entry['type'] !== type)
}

function leaveOthers(dir: NetDir, wish: ConfWish, but: readonly string[]): readonly Change[] {
  const { ownedFileName, entry } = wish
  const files = dir.files.filter((file) => !but.includes(file.name))
  return planRemoval({ ...dir, files }, { type: entry.type, ownedFileName })
}

function leave(file: ConfFile, ours: Ours): Change {
  const { path, bytes, mode, owner } = file
  const rest = file.name === ours.ownedFileName ? undefined : withoutEntry(file.json, ours.type)
  const unless = [{ path, bytes }]
  if (rest === undefined) return { do: 'remove', path, unless, why: 'it is ours' }
  const text = printConf(rest)
  return { do: 'write', path, text, mode, owner, unless, why: 'our entry does not belong in it' }
}

/** The file of this name, or of the same name with the ending of a list or of a single plugin. */
function findTwin(files: readonly ConfFile[], wanted: string): ConfFile | undefined {
  const stem = stemOf(wanted)
  return (
    files.find(({ name }) => name === wanted) ?? files.find(({ name }) => stemOf(name) === stem)
  )
}

/** Whether runtimes come to a file before another one. */
function isBefore(name: string, other: string): boolean {
  return compareBytes(name, other) < 0
}

/** The name of the list that a single plugin becomes: it sorts right behind the old file, or before it. */
function listNameOf(name: string): string {
  return `${stemOf(name)}.conflist`
}

function stemOf(name: string): string {
  return name.replace(/\.(conf|conflist|json)$/, '')
}
