/** The plugin's executable on the node. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { isArray, isObject } from '../../core/json.ts'
import { fillFrom, piecesOf, removeFile, replaceFile, signOf } from './files.ts'

/** The executable to install and its place. */
export type Binary = {
  readonly target: string
  /** Why it has to be copied; undefined where the node has the same bytes. Throws where there is no source. */
  readonly outdated: () => Promise<string | undefined>
  /** Copies it. Throws, and leaves what was there, where the copy does not answer. */
  readonly install: () => Promise<void>
  /** Why the executable on the node does not answer VERSION; undefined where it does. */
  readonly silent: () => Promise<string | undefined>
  readonly remove: () => Promise<void>
}

/** Looks again only where a file has changed: the executable has a hundred megabytes. */
export function makeBinary(source: string, target: string): Binary {
  const hashes = remembered(hashOf)
  const answers = remembered(askVersion)
  return {
    target,
    outdated: async () => {
      const [wanted, found] = [await hashes(source), await hashes(target)]
      if (wanted === undefined) throw new Error(`${source}: got no file, want the executable`)
      if (found === undefined) return 'is missing'
      if (found !== wanted) return 'is another version'
      return (await isExecutable(target)) ? undefined : 'is not executable'
    },
    install: async () => {
      const { mode } = await stat(source)
      await replaceFile(
        target,
        { mode: (mode & 0o777) | 0o111 },
        {
          fill: (draft) => fillFrom(source, draft),
          // A wrong architecture, a cut copy, a missing library: better noticed before pods need it.
          approve: async (draft) => {
            const why = await askVersion(draft)
            if (why === undefined) return true
            throw new Error(`${source}: the copy in ${target} does not answer VERSION: ${why}`)
          },
        },
      )
    },
    silent: async () => {
      const why = await answers(target)
      return why === undefined ? 'is missing' : why === '' ? undefined : why
    },
    remove: () => removeFile(target),
  }

  /** The answer for a file as it is now; undefined where there is none. */
  function remembered(look: (path: string) => Promise<string | undefined>) {
    const known = new Map<string, { readonly sign: string; readonly answer: string }>()
    return async (path: string): Promise<string | undefined> => {
      const sign = await signOf(path)
      if (sign === undefined) return undefined
      const last = known.get(path)
      if (last?.sign === sign) return last.answer
      const answer = (await look(path)) ?? ''
      // A file that cannot be run now may be run later, without having changed.
      if (look !== askVersion || answer === '') known.set(path, { sign, answer })
      return answer
    }
  }
}

/** Milliseconds that an executable may take to say its version; it takes 50 on a quiet machine. */
const VERSION_MS = 20_000

/** Why a program does not answer VERSION as a CNI plugin does; undefined where it does. */
async function askVersion(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const env = { CNI_COMMAND: 'VERSION', PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
    const options = { env, timeout: VERSION_MS, killSignal: 'SIGKILL', maxBuffer: 1 << 20 } as const
    const child = execFile(path, [], options, (error, stdout) => {
      if (error !== null) resolve(error.message.split('\n')[0])
      else if (!isVersionAnswer(stdout)) resolve('the answer is no CNI version answer')
      else resolve(undefined)
    })
    // Who ends before it reads says why by its exit status.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end('{}')
  })
}

function isVersionAnswer(text: string): boolean {
  try {
    const answer: unknown = JSON.parse(text)
    return isObject(answer) && isArray(answer['supportedVersions'])
  } catch {
    return false
  }
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of piecesOf(path)) hash.update(piece)
  return hash.digest('hex')
}

async function isExecutable(path: string): Promise<boolean> {
  return ((await stat(path)).mode & 0o111) === 0o111
}
