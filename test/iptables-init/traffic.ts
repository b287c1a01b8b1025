import type { ChildProcess } from 'node:child_process'
import { firstLine, type Lab } from './lab.ts'

/** A connection to make: who makes it, from where, to where. An answer says which port took it. */
export type Call = {
  readonly protocol?: 'udp'
  readonly to: string
  readonly port: number
  readonly from?: string
}

/** Which port answered and which source address it saw; or why nothing did. */
export type Answer = { readonly port: number; readonly seen: string } | { readonly failed: string }

/**
 * Listens on TCP and UDP ports of a place, v4 and v6; each answers its own port and who asked. In the pod
 * the listener is the proxy's user: the agent's answers are told by it.
 */
export async function listen(
  lab: Pick<Lab, 'start'>,
  place: 'pod' | 'world',
  ports: readonly number[],
): Promise<ChildProcess> {
  const child = lab.start(place, process.execPath, ['-e', SERVER, JSON.stringify(ports)], {
    ...(place === 'pod' && { uid: 1337, gid: 1337 }),
  })
  await firstLine(child)
  return child
}

/** Makes calls as a user and reports their answers in order. */
export function callAs(
  lab: Pick<Lab, 'run'>,
  place: 'pod' | 'world',
  who: { readonly uid: number; readonly gid: number },
  calls: readonly Call[],
): readonly Answer[] {
  const ran = lab.run(place, process.execPath, ['-e', CLIENT, JSON.stringify(calls)], who)
  if (ran.code !== 0) throw new Error(`calls failed: ${ran.stderr}`)
  return JSON.parse(ran.stdout) as Answer[]
}

const SERVER = `
const net = require('node:net'), dgram = require('node:dgram')
const ports = JSON.parse(process.argv[1])
const plain = (address) => (address || '').replace(/^::ffff:/, '')
let left = 0
const ready = () => { if (--left === 0) console.log('ready') }
for (const port of ports) {
  left++
  net.createServer((socket) => {
    socket.on('error', () => {})
    socket.end(JSON.stringify({ port, seen: plain(socket.remoteAddress) }))
  }).listen(port, '::', ready)
  for (const host of ['127.0.0.1', '::1', 'any']) {
    const type = host === '::1' ? 'udp6' : 'udp4'
    if (port !== 53 && port !== 15053) continue
    left++
    const socket = dgram.createSocket(host === 'any' ? { type: 'udp6' } : { type })
    socket.on('message', (_, peer) => socket.send(JSON.stringify({ port, seen: plain(peer.address) }), peer.port, peer.address))
    socket.on('error', ready)
    if (host === 'any') { if (port === 53) socket.bind(port, '::', ready); else ready() }
    else if (port === 15053) socket.bind(port, host, ready)
    else ready()
  }
}
`

const CLIENT = `
const net = require('node:net'), dgram = require('node:dgram')
const calls = JSON.parse(process.argv[1])
const tcp = ({ to, port, from }) => new Promise((resolve) => {
  const socket = net.connect({ host: to, port, ...(from && { localAddress: from }) })
  let text = ''
  socket.setTimeout(3000, () => { resolve({ failed: 'timeout' }); socket.destroy() })
  socket.on('data', (data) => { text += data })
  socket.on('error', (error) => resolve({ failed: error.code }))
  socket.on('close', () => resolve(text ? JSON.parse(text) : { failed: 'empty' }))
})
const udp = ({ to, port }) => new Promise((resolve) => {
  const socket = dgram.createSocket(to.includes(':') ? 'udp6' : 'udp4')
  const end = (value) => { resolve(value); try { socket.close() } catch {} }
  const timer = setTimeout(() => end({ failed: 'timeout' }), 3000)
  socket.on('error', (error) => { clearTimeout(timer); end({ failed: error.code }) })
  socket.on('message', (data) => { clearTimeout(timer); end(JSON.parse(String(data))) })
  socket.connect(port, to, () => socket.send('?'))
})
Promise.all(calls.map((call) => (call.protocol === 'udp' ? udp(call) : tcp(call)))).then((answers) => {
  process.stdout.write(JSON.stringify(answers), () => process.exit(0))
})
`
