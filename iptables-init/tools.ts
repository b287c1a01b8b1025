import { accessSync, constants, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Family } from '../core/cidrs.ts'
import type { RuleSet } from '../core/rules/model.ts'
import { hasOurs, isInUse } from '../core/rules/ours.ts'
import { readRestore } from '../core/rules/read-iptables.ts'
import type { Run } from './run.ts'

/** Which of the kernel's two rule engines iptables speaks to; `plain` is whatever `iptables` itself is. */
export type Backend = 'nft' | 'legacy' | 'plain'

/** The programs of one family and backend, as absolute paths. */
export type Tool = {
  readonly family: Family
  readonly backend: Backend
  readonly save: string
  readonly restore: string
  /** Arguments that every restore gets: the legacy lock is waited for. */
  readonly restoreArgs: readonly string[]
}

/** A tool and the rules that it saw. `saved` is its own text, fit to put everything back. */
export type Seen = { readonly tool: Tool; readonly saved: string; readonly found: RuleSet }

/** The tool to use for a family, and the other backend where rules of ours stand there too. */
export type Chosen = Seen & { readonly stray?: Seen }

/** What decides which tool is taken. */
export type Choice = {
  readonly forced?: Backend
  /** The folders that are searched, as PATH has them. */
  readonly path: string | undefined
  /** Whether the rules are those of this process's own namespace. */
  readonly isLocal: boolean
}

/** Where programs live when PATH does not say. */
const SBIN = ['/usr/sbin', '/sbin', '/usr/local/sbin', '/usr/bin', '/bin']

/** The path of a program, or undefined when there is none. */
export function findProgram(name: string, path: string | undefined): string | undefined {
  const folders = path === undefined || path === '' ? SBIN : path.split(':')
  return folders.map((folder) => join(folder, name)).find(isProgram)
}

/**
 * Chooses the backend of a family by reading only: the one that holds our rules; else legacy, if somebody's
 * rules are there and none in nft; else nft, if the kernel speaks it; else legacy. The answer is the same
 * on every run, because nothing here leaves a trace.
 */
export async function chooseTool(run: Run, family: Family, wanted: Choice): Promise<Chosen> {
  const tool = (backend: Backend): Tool | undefined => toolFor(family, backend, wanted.path)
  const nft = tool('nft')
  const legacy = tool('legacy')
  const [seenNft, seenLegacy] = await Promise.all([
    nft === undefined ? missing(family, 'nft') : see(run, nft),
    legacy === undefined
      ? missing(family, 'legacy')
      : legacyIsEmpty(run, family, wanted.isLocal).then((isEmpty) =>
          isEmpty && wanted.forced !== 'legacy' ? nothingIn(legacy) : see(run, legacy),
        ),
  ])
  if (wanted.forced !== undefined) {
    const [seen, other] = wanted.forced === 'nft' ? [seenNft, seenLegacy] : [seenLegacy, seenNft]
    return withStray(demand(seen), other)
  }
  if (nft === undefined && legacy === undefined) {
    const plain = tool('plain')
    return demand(plain === undefined ? missing(family, 'plain') : await see(run, plain))
  }
  if (!seenNft.ok) return demand(seenNft.isUnsupported ? seenLegacy : seenNft)
  if (!seenLegacy.ok || hasOurs(seenNft.found)) return withStray(seenNft, seenLegacy)
  const isLegacy =
    hasOurs(seenLegacy.found) || (isInUse(seenLegacy.found) && !isInUse(seenNft.found))
  return isLegacy ? seenLegacy : seenNft
}

/** `isUnsupported`: the backend is not there at all, so that another may be taken instead. */
type Looked =
  | (Seen & { readonly ok: true })
  | { readonly ok: false; readonly cause: string; readonly isUnsupported: boolean }

/** What iptables says where the kernel has no nf_tables. */
export const NO_NFT = /Failed to initialize nft|Protocol not supported/

async function see(run: Run, tool: Tool): Promise<Looked> {
  const { code, stdout, stderr } = await run(tool.save, [])
  if (code !== 0) {
    const said = stderr.trim().split('\n').at(-1) ?? ''
    const cause = `read the rules: ${tool.save} failed with ${code}: ${said}`
    return { ok: false, cause, isUnsupported: tool.backend === 'nft' && NO_NFT.test(stderr) }
  }
  const read = readRestore(stdout)
  return read.ok
    ? { ok: true, tool, saved: stdout, found: read.value }
    : {
        ok: false,
        cause: `read the rules: ${tool.save} printed what is no rule text`,
        isUnsupported: false,
      }
}

function nothingIn(tool: Tool): Looked {
  return { ok: true, tool, saved: '', found: { tables: [] } }
}

function missing(family: Family, backend: Backend): Looked {
  const name = programName(family, backend)
  const cause = `find the tools: ${name}-save and ${name}-restore are not in PATH`
  return { ok: false, cause, isUnsupported: true }
}

function demand(looked: Looked): Seen {
  if (looked.ok) return looked
  throw new Error(looked.cause)
}

function withStray(seen: Seen, other: Looked): Chosen {
  return other.ok && hasOurs(other.found) ? { ...seen, stray: other } : seen
}

function toolFor(family: Family, backend: Backend, path: string | undefined): Tool | undefined {
  const name = programName(family, backend)
  const save = findProgram(`${name}-save`, path)
  const restore = findProgram(`${name}-restore`, path)
  if (save === undefined || restore === undefined) return undefined
  return { family, backend, save, restore, restoreArgs: backend === 'legacy' ? ['--wait=30'] : [] }
}

function programName(family: Family, backend: Backend): string {
  const name = family === 'v4' ? 'iptables' : 'ip6tables'
  return backend === 'plain' ? name : `${name}-${backend}`
}

/**
 * Whether the legacy backend has no table at all, told without asking it: reading a legacy table by name
 * would create it. Where the list cannot be read the answer is no.
 */
export async function legacyIsEmpty(run: Run, family: Family, isLocal: boolean): Promise<boolean> {
  const path = `/proc/net/${family === 'v4' ? 'ip' : 'ip6'}_tables_names`
  if (isLocal) {
    try {
      return readFileSync(path, 'utf8').trim() === ''
    } catch (error) {
      return error instanceof Error && 'code' in error && error.code === 'ENOENT'
    }
  }
  const { code, stdout, stderr } = await run('cat', [path])
  return code === 0 ? stdout.trim() === '' : stderr.includes('No such file')
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
