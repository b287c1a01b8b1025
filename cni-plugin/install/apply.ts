import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Binary } from './binary.ts'
import type { Change, Known } from './change.ts'
import { isMissing, removeFile, replaceText } from './files.ts'

/** Makes one change. False where a file was changed by somebody else meanwhile: nothing was done then. */
export async function applyChange(change: Change, binary: Binary): Promise<boolean> {
  switch (change.do) {
    case 'copy':
      await binary.install()
      return true
    case 'write': {
      const { path, text, mode, owner, unless, isSecret } = change
      if (isSecret === true) await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      const look = owner === undefined ? { mode } : { mode, owner }
      return replaceText(path, text, look, () => areUnchanged(unless))
    }
    case 'remove':
      if (!(await areUnchanged(change.unless))) return false
      await removeFile(change.path)
      return true
  }
}

async function areUnchanged(known: readonly Known[]): Promise<boolean> {
  for (const { path, bytes } of known) {
    const now = await readFile(path).catch((error: unknown) => {
      if (isMissing(error)) return undefined
      throw error
    })
    const isSame = bytes === undefined ? now === undefined : now?.equals(bytes) === true
    if (!isSame) return false
  }
  return true
}
