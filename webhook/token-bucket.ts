/** What a token bucket may give: `burst` at once, and one more every `everyMs` milliseconds. */
export type Rate = { readonly burst: number; readonly everyMs: number }

/** A token bucket. Times are milliseconds of a clock that never goes back. */
export type Bucket = {
  /** Takes a token, or says in how many milliseconds there will be one; 0 when it was taken. */
  readonly take: (now: number) => number
}

/** A full bucket. */
export function makeBucket({ burst, everyMs }: Rate, now: number): Bucket {
  let tokens = burst
  let filled = now
  return {
    take: (time) => {
      tokens = Math.min(burst, tokens + (time - filled) / everyMs)
      filled = time
      if (tokens < 1) return (1 - tokens) * everyMs
      tokens -= 1
      return 0
    },
  }
}
