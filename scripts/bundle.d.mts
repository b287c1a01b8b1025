/** Bundles `entry` (a .ts file below `root`) into one CommonJS file; `lazy` packages become files beside it. */
export function bundle(
  root: string,
  entry: string,
  outfile: string,
  lazy?: readonly string[],
): Promise<void>

/** The bundles of the package, as arguments of `bundle` after its first. */
export const BUNDLES: readonly [readonly [entry: string, outfile: string, lazy: readonly string[]]]
