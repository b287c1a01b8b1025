// The cache folder of everything that is built once and lies outside the tree.
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** SIDECAR_TEST_CACHE names another one. */
export function cacheFolder() {
  const named = process.env.SIDECAR_TEST_CACHE
  if (named) return resolve(named)
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'sidecar-injector-tests')
}

/** Start of the name of a folder that this process fills and renames when it is complete. */
export function draftPrefix() {
  return join(cacheFolder(), `building-${String(process.pid)}-`)
}

/** Drafts of runs that were killed; a draft is named for the process that fills it. */
export function removeAbandoned() {
  const cache = cacheFolder()
  for (const name of readdirSync(cache)) {
    const pid = /^building-(\d+)-/.exec(name)?.[1]
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue
    rmSync(join(cache, name), { recursive: true, force: true })
  }
}
