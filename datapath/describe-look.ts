/** Looks round in a network namespace: addresses, rules, listeners, Envoy. Nothing is changed. */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { endianness } from 'node:os'
import { join } from 'node:path'
import type { Admin, Seen, Unseen } from '../core/describe/seen.ts'
import {
  readSockets,
  SOCKET_LISTS,
  takerOf,
  type Listener,
  type Program,
} from '../core/describe/sockets.ts'
import { addressesInside } from '../iptables-init/addresses.ts'
import type { Run } from '../iptables-init/run.ts'
import { idMaps } from './describe-ids.ts'
import type { Place } from './describe-place.ts'
import { seeRules } from './describe-rules.ts'

/** Everything that there is to see. `run` runs programs inside; what fails is told in `unseen`. */
export async function look(run: Run, place: Place, adminPort: number): Promise<Seen> {
  const unseen: Unseen[] = []
  const attempt = async <T>(work: Promise<T>, otherwise: T): Promise<T> =>
    work.catch((error: unknown) => {
      const says = error instanceof Error ? error.message : String(error)
      unseen.push({ says, families: [] })
      return otherwise
    })
  // The rules first: asking Envoy is a packet that they count.
  const [addresses, rules, sockets] = await Promise.all([
    attempt(addressesInside(run), []),
    seeRules(run, process.env['PATH']),
    attempt(seeSockets(run), []),
  ])
  const ids = await idMaps(place)
  const programs = await programsOf(place, new Set(sockets.map(({ inode }) => inode)))
  const listeners = sockets.map((one): Listener => {
    const program = programs.get(one.inode)
    const uid = ids.uid(one.uid)
    return program === undefined
      ? { ...one, uid }
      : { ...one, uid, program: { ...program, gid: ids.gid(program.gid) } }
  })
  return {
    addresses,
    standings: rules.standings,
    listeners,
    admin: await askEnvoy(run, listeners, adminPort),
    unseen: [...unseen, ...rules.unseen],
  }
}

/** A program inside sees the lists of the namespace that it is in. */
async function seeSockets(run: Run): Promise<readonly Listener[]> {
  const lists = await Promise.all(
    SOCKET_LISTS.map(async (list): Promise<readonly Listener[]> => {
      const path = `/proc/net/${list.name}`
      const { code, stdout, stderr } = await run('cat', [path])
      if (code === 0) return readSockets(list, stdout, endianness() === 'LE')
      // A kernel without IPv6 has no such list.
      if (list.family === 'v6' && stderr.includes('No such file')) return []
      throw new Error(`listeners: ${path} cannot be read: ${stderr.trim()}`)
    }),
  )
  return lists.flat()
}

/** The processes that hold sockets, by inode; those that we may not look at are left out. */
async function programsOf(
  { processes }: Place,
  inodes: ReadonlySet<string>,
): Promise<ReadonlyMap<string, Program>> {
  const found = new Map<string, Program>()
  for (const folder of processes) {
    const held = (await socketsOf(folder)).filter((inode) => inodes.has(inode) && !found.has(inode))
    if (held.length === 0) continue
    const program = await programAt(folder)
    if (program !== undefined) for (const inode of held) found.set(inode, program)
  }
  return found
}

async function socketsOf(folder: string): Promise<readonly string[]> {
  const files = await readdir(join(folder, 'fd')).catch(() => [])
  const links = await Promise.all(
    files.map((file) => readlink(join(folder, 'fd', file)).catch(() => '')),
  )
  return links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? [])
}

/** The effective group is the one by which rules know a process. */
async function programAt(folder: string): Promise<Program | undefined> {
  const status = await readFile(join(folder, 'status'), 'utf8').catch(() => '')
  const [, name] = /^Name:\t(.*)$/m.exec(status) ?? []
  const [, gid] = /^Gid:\t\d+\t(\d+)/m.exec(status) ?? []
  const pid = Number(folder.split('/').at(-1))
  return name === undefined || gid === undefined ? undefined : { pid, gid: Number(gid), name }
}

/** Prints the status and the body of `/ready`. A program of its own, because it must be inside. */
const ASK = `
const http = require('node:http')
const end = (text) => { process.stdout.write(text); process.exit(0) }
const host = process.argv[2]
const request = http.get({ host, port: Number(process.argv[1]), path: '/ready', timeout: 2000 }, (answer) => {
  let body = ''
  answer.setEncoding('utf8').on('data', (text) => { body = (body + text).slice(0, 200) })
  answer.on('end', () => end(answer.statusCode + ' ' + body))
})
request.on('timeout', () => end('no answer within 2 s'))
request.on('error', (error) => end(error.message))
`

async function askEnvoy(run: Run, listeners: readonly Listener[], port: number): Promise<Admin> {
  const families = ['v4', 'v6'] as const
  const family = families.find(
    (one) => takerOf(listeners, 'tcp', one, port, 'loopback') !== undefined,
  )
  if (family === undefined) return { kind: 'silent', why: `nobody listens on its port ${port}` }
  const host = family === 'v4' ? '127.0.0.1' : '::1'
  const { code, stdout, stderr } = await run(process.execPath, ['-e', ASK, `${port}`, host])
  if (code !== 0) return { kind: 'silent', why: stderr.trim() }
  const [, status, body = ''] = /^(\d{3}) ([^]*)$/.exec(stdout.trim()) ?? []
  if (status === undefined) return { kind: 'silent', why: stdout.trim() }
  if (status === '200') return { kind: 'ready' }
  // Only Envoy answers with the name of one of its states.
  return /^[A-Z_]+$/.test(body.trim())
    ? { kind: 'not-ready', says: `${status} ${body.trim()}` }
    : { kind: 'silent', why: `port ${port} answered ${status}, which is not Envoy's answer` }
}
