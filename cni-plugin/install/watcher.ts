/** Directories that are looked at by events. */
import { watch, type FSWatcher } from 'node:fs'
import { stat } from 'node:fs/promises'
import { isDraft } from './files.ts'

/** A directory, and the files in it whose changes matter; all where not given. */
export type Watched = { readonly folder: string; readonly file?: string }

/** Events of directories. */
export type Watcher = {
  /** Begins to watch what is not watched: directories may come, and be replaced. */
  readonly renew: () => Promise<void>
  readonly close: () => void
}

type Open = { readonly inode: number; readonly watcher: FSWatcher }

/** Calls `onChange` with a path for whatever happens there. What the events miss is left to a poll. */
export function makeWatcher(
  folders: readonly Watched[],
  onChange: (path: string) => void,
): Watcher {
  const open = new Map<string, Open>()
  const forget = (folder: string): void => {
    open.get(folder)?.watcher.close()
    open.delete(folder)
  }
  return {
    renew: async () => {
      for (const { folder, file } of folders) {
        const inode = await stat(folder).then(
          (at) => at.ino,
          () => undefined,
        )
        if (open.get(folder)?.inode === inode && inode !== undefined) continue
        forget(folder)
        if (inode === undefined) continue
        try {
          const watcher = watch(folder, (_event, name) => {
            if (name === null) onChange(folder)
            else if (!isDraft(name) && (file ?? name) === name) onChange(`${folder}/${name}`)
          })
          watcher.on('error', () => {
            forget(folder)
          })
          open.set(folder, { inode, watcher })
        } catch {
          // Out of watches, or a file system without them: the poll looks.
        }
      }
    },
    close: () => {
      for (const folder of [...open.keys()]) forget(folder)
    },
  }
}
