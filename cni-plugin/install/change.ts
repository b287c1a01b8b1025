/** One step that brings the node nearer to what is wanted. */
export type Change =
  | { readonly do: 'copy'; readonly path: string; readonly why: string }
  | {
      readonly do: 'write'
      readonly path: string
      readonly text: string
      readonly mode: number
      readonly owner?: { readonly uid: number; readonly gid: number }
      /** Files that must still be as they were read; undefined for one that must not be there. */
      readonly unless: readonly Known[]
      readonly why: string
      /** Whether the text must not be shown. */
      readonly isSecret?: true
    }
  | {
      readonly do: 'remove'
      readonly path: string
      readonly unless: readonly Known[]
      readonly why: string
    }

/** A file as it was when it was read. */
export type Known = { readonly path: string; readonly bytes: Buffer | undefined }

/** One line for people. */
export function printChange(change: Change): string {
  switch (change.do) {
    case 'copy':
      return `copy the executable to ${change.path}: ${change.why}`
    case 'write':
      return `write ${change.path}: ${change.why}`
    case 'remove':
      return `remove ${change.path}: ${change.why}`
  }
}
