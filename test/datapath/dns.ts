/** DNS in the lab: servers that answer every name with one address, and a client that asks as whom it is told. */
import { isObject } from '../../core/json.ts'
import { readYaml } from '../../core/yaml.ts'
import type { Answer } from '../../datapath/call.ts'
import type { Place, Lab, Talker, Who } from '../../datapath/lab.ts'
import { untilListening } from '../../datapath/listening.ts'
import { ok } from '../../datapath/sidecar.ts'

/** Somebody of a place. */
type Somebody = { readonly place: Place; readonly who: Who }

/** Serves DNS on a port of some addresses, UDP and TCP; every name has that IPv4 address. */
export async function serveNames(
  lab: Lab,
  { place, who }: Somebody,
  port: number,
  hosts: readonly string[],
  address: string,
): Promise<void> {
  const words = ['-e', SERVER, `${port}`, hosts.join(','), address]
  const started = lab.start(place, who, `dns-${place}`, process.execPath, words)
  await untilListening('dns', started, [port])
}

/** Looks a name up with one query from that port; the answer's body is the address. */
export type LookUp = (
  by: Somebody,
  protocol: 'udp' | 'tcp',
  server: string,
  from: number,
  name: string,
) => Promise<Answer>

/** Looks names up in a lab; each who asks is one process, which stays for the next query. */
export function makeResolver(lab: Lab): LookUp {
  const clients = new Map<string, Talker>()
  return async ({ place, who }, protocol, to, from, name) => {
    const key = JSON.stringify([place, who])
    const client = clients.get(key) ?? lab.talk(place, who, process.execPath, ['-e', CLIENT])
    clients.set(key, client)
    const said = ok(
      readYaml('answer', await client.ask(JSON.stringify({ protocol, to, from, name }))),
    )
    if (!isObject(said)) throw new Error('an answer that is no object')
    const { port, found, failed } = said
    return {
      address: '',
      port: typeof port === 'number' ? port : 0,
      status: typeof failed === 'string' ? failed : 'answered',
      body: typeof found === 'string' ? found : '',
    }
  }
}

/** RFC 1035: a header of 12 bytes, one question; the answer's name points back to the question's. */
const SERVER = `
const net = require('node:net'), dgram = require('node:dgram')
const [, port, hosts, address] = process.argv
const answer = (query) => Buffer.concat([
  query.subarray(0, 2), Buffer.from([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]),
  query.subarray(12, query.indexOf(0, 12) + 5),
  Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...address.split('.').map(Number)]),
])
const framed = (message) => Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message])
for (const host of hosts.split(',')) {
  const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4')
  socket.on('message', (query, peer) => socket.send(answer(query), peer.port, peer.address))
  // Whoever sees the TCP port finds the other one too.
  socket.bind(Number(port), host, () => {
    net.createServer((client) => {
      client.on('error', () => {})
      client.once('data', (query) => client.end(framed(answer(query.subarray(2)))))
    }).listen({ port: Number(port), host })
  })
}
`

/** Reads queries, one JSON object a line, and prints for each what was found or why nothing was. */
const CLIENT = `
const net = require('node:net'), dgram = require('node:dgram')
const query = (name) => Buffer.concat([
  Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
  ...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
  Buffer.from([0, 0, 1, 0, 1]),
])
const found = (message) => (message[0] === 0 && message[1] === 7 ? { found: [...message.subarray(-4)].join('.') } : { failed: 'strange' })
const tcp = ({ to, from, name }, end) => {
  const socket = net.connect({ host: to, port: 53, localPort: from, timeout: 3000 })
  socket.on('connect', () => {
    const message = query(name), { localPort } = socket
    socket.write(Buffer.concat([Buffer.from([0, message.length]), message]))
    let all = Buffer.alloc(0)
    socket.on('data', (data) => { all = Buffer.concat([all, data]) })
    socket.on('end', () => end({ port: localPort, ...(all.length < 2 ? { failed: 'empty' } : found(all.subarray(2))) }))
  })
  socket.on('timeout', () => { end({ failed: 'timeout' }); socket.destroy() })
  socket.on('error', (error) => end({ failed: error.code }))
}
const udp = ({ to, from, name }, end) => {
  const socket = dgram.createSocket(to.includes(':') ? 'udp6' : 'udp4')
  const leave = (value) => { clearTimeout(timer); end({ port: socket.address().port, ...value }); socket.close() }
  const timer = setTimeout(() => leave({ failed: 'timeout' }), 3000)
  socket.on('error', (error) => leave({ failed: error.code }))
  socket.on('message', (message) => leave(found(message)))
  socket.bind(from, () => socket.connect(53, to, () => socket.send(query(name))))
}
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const asked = JSON.parse(line)
  ;(asked.protocol === 'udp' ? udp : tcp)(asked, (value) => process.stdout.write(JSON.stringify(value) + '\\n'))
})
`
