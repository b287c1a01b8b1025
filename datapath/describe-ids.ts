/** Ids of users and groups as the rules of a pod know them: those of the pod's own user namespace. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Place } from './describe-place.ts'

/** Turns an id of this machine into the one that it has inside. */
export type IdMap = (id: number) => number

/** What the kernel shows inside for an id that is nobody's there. */
const NOBODY = 65534

/** The maps of the processes inside; ids stay as they are where none can be looked at. */
export async function idMaps({
  processes,
}: Place): Promise<{ readonly uid: IdMap; readonly gid: IdMap }> {
  for (const folder of processes) {
    const [uids, gids] = await Promise.all(
      ['uid_map', 'gid_map'].map((name) => readFile(join(folder, name), 'utf8').catch(() => '')),
    )
    if (uids && gids) return { uid: readIdMap(uids), gid: readIdMap(gids) }
  }
  return { uid: (id) => id, gid: (id) => id }
}

/** Reads `/proc/PID/uid_map`: lines of the first id inside, the first id here, and how many there are. */
function readIdMap(text: string): IdMap {
  const ranges = text
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([inside, here, count]) =>
      inside === undefined || here === undefined || count === undefined
        ? []
        : [{ inside, here, count }],
    )
  return (id) => {
    const range = ranges.find(({ here, count }) => here <= id && id < here + count)
    return range === undefined ? NOBODY : range.inside + id - range.here
  }
}
