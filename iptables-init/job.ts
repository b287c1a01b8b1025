import type { Request } from '../core/options/argv.ts'
import type { InterceptionOptions } from '../core/options/interception.ts'
import type { Site } from '../core/rules/site.ts'

/** Where the tool writes: results to `out`, everything for people to `log`. */
export type Streams = { readonly out: (text: string) => void; readonly log: (line: string) => void }

/** Exit statuses; `verify` has its own in verify.ts. */
export const EXIT = { done: 0, failed: 1, usage: 2, invalid: 126 } as const

/** Everything that the work needs, read and checked; nothing has been touched yet. */
export type Job = {
  readonly request: Request
  readonly options: InterceptionOptions
  readonly site: Site
}
