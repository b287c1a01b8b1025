/** The processes that a process started, and those that they started, read from /proc. */
import { readdir, readFile } from 'node:fs/promises'

/** One process of this machine; the time of its start tells it from a later one with its number. */
export type Process = { readonly pid: number; readonly name: string; readonly started: string }

/** All descendants of a process. */
export async function descendantsOf(pid: number): Promise<readonly Process[]> {
  const all = await processes()
  const found: Process[] = []
  const look = (parent: number): void => {
    for (const one of all.filter((one) => one.parent === parent)) {
      found.push({ pid: one.pid, name: one.name, started: one.started })
      look(one.pid)
    }
  }
  look(pid)
  return found
}

/** Those of the processes that still run. */
export async function stillRunning(some: readonly Process[]): Promise<readonly Process[]> {
  const all = new Map((await processes()).map((one) => [one.pid, one.started]))
  return some.filter(({ pid, started }) => all.get(pid) === started)
}

async function processes() {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const texts = await Promise.all(
    ids.map((id) => readFile(`/proc/${id}/stat`, 'utf8').catch(() => '')),
  )
  return texts.flatMap((text) => {
    // PID (NAME) STATE PARENT …, and the start is the 22nd word (proc(5)).
    const [, pid, name = '', rest = ''] = /^(\d+) \((.*)\) (.*)$/s.exec(text) ?? []
    const words = rest.split(' ')
    const [parent = '', started = ''] = [words[1], words[19]]
    return pid === undefined ? [] : [{ pid: Number(pid), name, parent: Number(parent), started }]
  })
}
