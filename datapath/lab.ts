/** Network namespaces in which a client, an injected pod and two servers talk through a router. */
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { spawnQuickly, type Outcome } from '../iptables-init/run.ts'
import { hireUndertaker } from './undertaker.ts'

/** Who may be run in. The node only routes. */
export type Place = 'client' | 'pod' | 'server'

/** As whom a program runs. `capabilities` are all it can get, by names without `cap_`; absent: root's. */
export type Who = {
  readonly uid: number
  readonly gid: number
  readonly capabilities?: readonly string[]
}

/** A program that was started. */
export type Started = {
  readonly pid: number
  /** How it ended (`exit 1`, `SIGKILL`); undefined while it runs. */
  readonly ended: () => string | undefined
  /** What it printed so far, and what it complained. */
  readonly output: () => string
  readonly complaints: () => string
  /** Ends it and waits for that. */
  readonly stop: () => Promise<void>
}

/** A program that answers a line with a line. */
export type Talker = { readonly ask: (line: string) => Promise<string> }

/** What a program may be given besides its arguments. */
export type More = {
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  /** Longest time it may take, milliseconds. */
  readonly timeout?: number
}

/** The namespaces, and how programs run there. */
export type Lab = {
  /** What its namespaces and its folder are called after. */
  readonly id: string
  /** A folder that any user may read and only root may write; it goes away with the lab. */
  readonly folder: string
  /** Path of a namespace, as `nsenter --net` takes it. */
  readonly netns: (place: Place) => string
  readonly run: (
    place: Place,
    who: Who,
    file: string,
    args: readonly string[],
    more?: More,
  ) => Promise<Outcome>
  /** Its output goes to files in the folder that are called after `name`. */
  readonly start: (
    place: Place,
    who: Who,
    name: string,
    file: string,
    args: readonly string[],
    more?: Pick<More, 'env'>,
  ) => Started
  /** Starts a program that is spoken to: its input and output are pipes. */
  readonly talk: (place: Place, who: Who, file: string, args: readonly string[]) => Talker
  /** Ends everything and removes it. The same happens when this process ends, however it ends. */
  readonly close: () => Promise<void>
}

/** Addresses of the lab. */
export const AT = {
  v4: { client: '10.250.1.2', pod: '10.250.2.19', server: '10.250.3.4', other: '10.250.3.5' },
  v6: { client: 'fd25:1::2', pod: 'fd25:2::19', server: 'fd25:3::4', other: 'fd25:3::5' },
} as const

export const ROOT: Who = { uid: 0, gid: 0 }

const PLACES: readonly Place[] = ['client', 'pod', 'server']

/** Makes a lab with fresh namespaces, called `dp-…`. Whoever makes one closes it. */
export function makeLab(): Lab {
  const id = `dp-${randomBytes(4).toString('hex')}`
  const folder = join(tmpdir(), id)
  const name = (place: Place | 'node'): string => `${id}-${place}`
  const namespaces = [...PLACES, 'node' as const].map(name)
  const bury = hireUndertaker({ namespaces, folder })
  mkdirSync(folder)
  chmodSync(folder, 0o755)
  for (const namespace of namespaces) ip([], [`netns add ${namespace}`])
  wire(name)
  const netns = (place: Place): string => `/run/netns/${name(place)}`
  const words = (place: Place, who: Who, file: string, args: readonly string[]): string[] => [
    `--net=${netns(place)}`,
    '--',
    ...as(who),
    file,
    ...args,
  ]
  // The lock of iptables' legacy backend is one file for the whole machine unless told otherwise.
  const env = { PATH: process.env['PATH'] ?? '', XTABLES_LOCKFILE: join(folder, 'xtables.lock') }
  return {
    id,
    folder,
    netns,
    run: (place, who, file, args, more = {}) =>
      spawnQuickly('nsenter', words(place, who, file, args), {
        stdin: more.input ?? '',
        env: { ...env, ...more.env },
        timeout: more.timeout ?? 30_000,
      }),
    start: (place, who, called, file, args, more = {}) =>
      startIn(folder, called, words(place, who, file, args), { ...env, ...more.env }),
    talk: (place, who, file, args) => talkTo(words(place, who, file, args), env),
    close: bury,
  }
}

/** Each place has a link to the node, which is its router. */
function wire(name: (place: Place | 'node') => string): void {
  const node: string[] = ['link set lo up']
  for (const [index, place] of PLACES.entries()) {
    const net = index + 1
    const addresses = [AT.v4[place], ...(place === 'server' ? [AT.v4.other] : [])]
    const addresses6 = [AT.v6[place], ...(place === 'server' ? [AT.v6.other] : [])]
    ip(
      ['-n', name(place)],
      [
        'link set lo up',
        `link add eth0 type veth peer name v${net} netns ${name('node')}`,
        ...addresses.map((address) => `address add ${address}/24 dev eth0`),
        ...addresses6.map((address) => `address add ${address}/64 dev eth0 nodad`),
        'link set eth0 up',
        `route add default via 10.250.${net}.1`,
        `route add default via fd25:${net}::1`,
      ],
    )
    node.push(
      `address add 10.250.${net}.1/24 dev v${net}`,
      `address add fd25:${net}::1/64 dev v${net} nodad`,
      `link set v${net} up`,
    )
  }
  ip(['-n', name('node')], node)
  const inNode = [`--net=/run/netns/${name('node')}`, '--', process.execPath, '-e', FORWARD]
  demand('nsenter', inNode, '')
}

/** Makes a router of the namespace that it runs in. */
const FORWARD = `
for (const name of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) {
  require('node:fs').writeFileSync('/proc/sys/net/' + name, '1')
}
`

function ip(options: readonly string[], lines: readonly string[]): void {
  demand('ip', [...options, '-batch', '-'], lines.join('\n'))
}

function demand(file: string, args: readonly string[], input: string): void {
  const { status, stderr, error } = spawnSync(file, args, { input, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${error?.message ?? stderr}`)
}

/** Root keeps its user, so that a bounding set is what it has. */
function as({ uid, gid, capabilities }: Who): string[] {
  if (uid === 0 && gid === 0 && capabilities === undefined) return []
  const all = capabilities ?? []
  const bounds = [`--bounding-set=-all${all.map((name) => `,+${name}`).join('')}`]
  const lasting =
    uid === 0 || all.length === 0
      ? []
      : ['--inh-caps', '--ambient-caps'].map((option) => {
          return `${option}=-all${all.map((name) => `,+${name}`).join('')}`
        })
  const user = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups']
  return ['setpriv', ...user, ...lasting, ...bounds, '--']
}

function startIn(
  folder: string,
  name: string,
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): Started {
  const [out, err] = [join(folder, `${name}.out`), join(folder, `${name}.err`)]
  const files = [openSync(out, 'a'), openSync(err, 'a')] as const
  const child = spawn('nsenter', words, { env, detached: true, stdio: ['ignore', ...files] })
  files.forEach(closeSync)
  let how: string | undefined
  const gone = new Promise<void>((resolve) => {
    const settle = (text: string): void => {
      how = text
      resolve()
    }
    child.once('error', (error) => {
      settle(error.message)
    })
    child.once('exit', (code, signal) => {
      settle(signal ?? `exit ${String(code)}`)
    })
  })
  child.unref()
  return {
    pid: child.pid ?? -1,
    ended: () => how,
    output: () => readFileSync(out, 'utf8'),
    complaints: () => readFileSync(err, 'utf8'),
    stop: async () => {
      // Or nothing would keep this process until that has happened.
      child.ref()
      if (how === undefined) child.kill('SIGKILL')
      await gone
    },
  }
}

function talkTo(words: readonly string[], env: Readonly<Record<string, string>>): Talker {
  const child = spawn('nsenter', words, { env, detached: true, stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      reject(new Error(`${words.join(' ')}: ended (${signal ?? `exit ${String(code)}`})`))
    })
  })
  // Its end is news only to whoever asks it something.
  ended.catch(() => undefined)
  child.stdin.on('error', () => undefined)
  child.unref()
  return {
    ask: async (line) => {
      const answer = new Promise<string>((resolve) => lines.once('line', resolve))
      child.stdin.write(`${line}\n`)
      return Promise.race([answer, ended])
    },
  }
}
