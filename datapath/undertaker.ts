import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** What goes when its owner goes: namespaces with every process in them, and a folder. */
export type Estate = { readonly namespaces: readonly string[]; readonly folder: string }

/**
 * Starts a process that waits for the end of this one, however it ends, and then clears the estate away: it
 * notices by a closed pipe, so an interrupt, a crash and SIGKILL are all the same to it. The function that
 * comes back does it at once, and resolves when all of it is gone.
 */
export function hireUndertaker(estate: Estate): () => Promise<void> {
  const child = spawn(process.execPath, ['-e', PROGRAM, JSON.stringify(estate)], {
    // A session of its own: an interrupt from the terminal is not for it.
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'inherit'],
    env: { PATH: process.env['PATH'] },
  })
  const gone = once(child, 'exit')
  child.stdin.on('error', () => undefined)
  // Whoever forgets to call it may end all the same.
  child.unref()
  const pipe: unknown = child.stdin
  if (isUnrefable(pipe)) pipe.unref()
  return async () => {
    child.ref()
    child.stdin.end()
    await gone
  }
}

/** A child's pipe is a socket, which its declared stream type does not say. */
function isUnrefable(pipe: unknown): pipe is { readonly unref: () => void } {
  return typeof pipe === 'object' && pipe !== null && 'unref' in pipe
}

/** A second look finds what was just being made when the first one began. */
const PROGRAM = `
const { spawnSync } = require('node:child_process')
const { existsSync, rmSync } = require('node:fs')
const { namespaces, folder } = JSON.parse(process.argv[1])
const pause = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
const pids = (name) => spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).stdout.split('\\n').filter(Boolean)
const clear = (name) => {
  for (let turn = 0; turn < 50; turn++) {
    const found = pids(name)
    for (const pid of found) try { process.kill(Number(pid), 'SIGKILL') } catch {}
    if (found.length === 0) break
    pause(20)
  }
  spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' })
}
const clearAll = () => {
  const there = namespaces.filter((name) => existsSync('/run/netns/' + name))
  there.forEach(clear)
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  return there.length > 0 || existsSync(folder)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {})
process.stdin.resume()
process.stdin.on('close', () => {
  let calm = 0
  for (let turn = 0; turn < 20 && calm < 2; turn++) {
    calm = clearAll() ? 0 : calm + 1
    pause(30)
  }
  process.exit(0)
})
`
