/** Files that others read at any moment: each is seen whole, old or new, even after a power cut. */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { chown, open, readdir, rename, stat, unlink, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** What a file becomes besides its content. */
export type Look = {
  readonly mode: number
  /** Whose it is to be; that of this process where not given. */
  readonly owner?: { readonly uid: number; readonly gid: number }
}

/** How the content gets into the draft, and what must hold right before it takes the file's place. */
export type Making = {
  readonly fill: (draft: FileHandle) => Promise<void>
  /** Looks at the finished draft. What it throws ends the making; false leaves the file as it is. */
  readonly approve?: (draft: string) => Promise<boolean>
}

/**
 * Puts a file in the place of another one, at once: a draft in the same directory is filled, flushed
 * and renamed. Answers whether it did. Whatever goes wrong, the old file stays and the draft goes.
 */
export async function replaceFile(path: string, look: Look, making: Making): Promise<boolean> {
  const folder = dirname(path)
  const name = draftName(basename(path))
  const draft = join(folder, name)
  try {
    const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants
    const handle = await open(draft, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o600)
    try {
      await making.fill(handle)
      await handle.chmod(look.mode)
      await handle.sync()
    } finally {
      await handle.close()
    }
    // Only root may give files away, and not in every container: the mode matters, the owner is manners.
    if (look.owner !== undefined) {
      await chown(draft, look.owner.uid, look.owner.gid).catch(() => undefined)
    }
    if (making.approve !== undefined && !(await making.approve(draft))) {
      await unlink(draft)
      return false
    }
    await rename(draft, path)
  } catch (error) {
    await unlink(draft).catch(() => undefined)
    throw error
  }
  await flushFolder(folder)
  return true
}

/** The same for a text. */
export async function replaceText(
  path: string,
  text: string,
  look: Look,
  approve?: () => Promise<boolean>,
): Promise<boolean> {
  const fill = (draft: FileHandle): Promise<void> => draft.writeFile(text)
  return replaceFile(path, look, approve === undefined ? { fill } : { fill, approve })
}

/** Copies a file in pieces, so that a large one is never in memory as a whole. */
export async function fillFrom(source: string, draft: FileHandle): Promise<void> {
  for await (const piece of piecesOf(source)) await draft.appendFile(piece)
}

const PIECE_BYTES = 1 << 20

/** The bytes of a file, a mebibyte at a time. A piece is good until the next one is asked for. */
export async function* piecesOf(path: string): AsyncGenerator<Buffer> {
  const handle = await open(path, constants.O_RDONLY)
  try {
    const room = Buffer.allocUnsafe(PIECE_BYTES)
    for (;;) {
      const { bytesRead } = await handle.read(room, 0, PIECE_BYTES, null)
      if (bytesRead === 0) return
      yield room.subarray(0, bytesRead)
    }
  } finally {
    await handle.close()
  }
}

/** Removes a file; one that is gone already is fine. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (isMissing(error)) return
    throw error
  }
  await flushFolder(dirname(path))
}

/** Marked as ours, and in no form that a container runtime reads as configuration. */
function draftName(name: string): string {
  return `.${name}.sidecar-cni-${randomBytes(6).toString('hex')}`
}

/** Milliseconds after which nobody is still writing a draft. */
const DRAFT_MS = 60_000

/** Removes the drafts that killed predecessors left; those of a moment ago may be somebody's work. */
export async function removeDrafts(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (!isDraft(name)) continue
    const path = join(folder, name)
    const at = await stat(path).catch(() => undefined)
    if (at !== undefined && Date.now() - at.mtimeMs > DRAFT_MS) {
      await unlink(path).catch(() => undefined)
    }
  }
}

/** Whether a name is that of a draft of ours. */
export function isDraft(name: string): boolean {
  return /^\..+\.sidecar-cni-[0-9a-f]{12}$/.test(name)
}

/** What tells one state of a file from another; undefined where there is none. */
export async function signOf(path: string): Promise<string | undefined> {
  try {
    const at = await stat(path, { bigint: true })
    return [at.dev, at.ino, at.size, at.mtimeNs, at.ctimeNs].map(String).join(' ')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** Whether an error says that there is no such file or directory. */
export function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT')
}

/** Whether an error of the file system has this code. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

/** A rename lasts only once the directory is on the disk. Some file systems know no such thing. */
async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY).catch(() => undefined)
  await handle?.sync().catch(() => undefined)
  await handle?.close()
}
