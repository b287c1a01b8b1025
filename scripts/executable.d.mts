/** Architectures that an executable can be made for, as Node names them. */
export const ARCHITECTURES: readonly string[]

/** Why no executable can be made without a connection, undefined when one can. */
export function executableUnavailable(arch?: string): string | undefined

/** Makes the executable of the CNI plugin; see `makeExecutable`. */
export function makePlugin(root: string, arch?: string): Promise<string>

/**
 * Bundles `entry` (a .ts file below `root`) and puts it into Node. Gives the folder, in the cache, with the executable
 * `sidecar-cni` and Node's `LICENSE`. What is the same is not made twice.
 */
export function makeExecutable(root: string, entry: string, arch?: string): Promise<string>
