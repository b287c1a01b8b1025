/**
 * Programs that run in the lab as other users, as text for `node -e`: those users cannot read the folder of
 * this package on every machine.
 */

/** Arguments: name, ports, address to listen on. Answers every request of HTTP with what it saw of it. */
export const APP = `
const http = require('node:http')
const [, name, ports, host] = process.argv
const plain = (address) => (address || '').replace(/^::ffff:/, '')
for (const port of ports.split(',').map(Number)) {
  http.createServer((request, response) => {
    const { remoteAddress, localAddress } = request.socket
    const seen = { by: name, port, source: plain(remoteAddress), local: plain(localAddress), path: request.url, requestId: request.headers['x-request-id'] }
    response.writeHead(Number(request.headers['x-answer'] ?? 200), { 'content-type': 'application/json', connection: 'close' })
    response.end(JSON.stringify(seen))
  }).listen({ port, host: host ?? '::', exclusive: true })
}
`

/**
 * Reads calls from its standard input, one JSON object a line, and prints an answer for each: status and body,
 * or why there is none, with the caller's own address and port.
 */
export const CALLER = `
const http = require('node:http')
const plain = (address) => (address || '').replace(/^::ffff:/, '')
const call = ({ to, port, from, path, headers, milliseconds }) => new Promise((resolve) => {
  let own = {}
  const end = (value) => resolve({ ...own, ...value })
  const request = http.request({ host: to, port, localPort: from, path, headers: { connection: 'close', ...headers }, agent: false, timeout: milliseconds }, (response) => {
    let body = ''
    response.setEncoding('utf8').on('data', (text) => { body += text }).on('end', () => end({ status: response.statusCode, body }))
  })
  request.on('socket', (socket) => socket.on('connect', () => { own = { address: plain(socket.localAddress), port: socket.localPort } }))
  request.on('timeout', () => { end({ failed: 'timeout' }); request.destroy() })
  request.on('error', (error) => end({ failed: error.code || error.message }))
  request.end()
})
let last = Promise.resolve()
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  last = last.then(() => call(JSON.parse(line))).then((answer) => process.stdout.write(JSON.stringify(answer) + '\\n'))
})
`

/**
 * Stands in for the agent beside Envoy. Arguments: port, the pod's address, ISTIO_KUBE_APP_PROBERS. Says
 * that the proxy is ready, and asks the application what the kubelet asks it, from the source that the
 * rules leave alone.
 */
export const AGENT = `
const http = require('node:http'), net = require('node:net')
const [, port, pod, probers] = process.argv
const source = pod.includes(':') ? '::6' : '127.0.0.6'
const known = JSON.parse(probers)
const server = http.createServer((request, response) => {
  const answer = (status, text) => { response.writeHead(status, { connection: 'close' }); response.end(text) }
  if (request.url === '/healthz/ready') return answer(200, '')
  const prober = Object.hasOwn(known, request.url) ? known[request.url] : undefined
  if (prober === undefined) return answer(400, 'app prober config does not exist')
  const timeout = (prober.timeoutSeconds || 1) * 1000
  if (prober.tcpSocket) {
    const socket = net.connect({ host: pod, port: prober.tcpSocket.port, localAddress: source, timeout })
    socket.on('connect', () => { answer(200, ''); socket.destroy() })
    socket.on('timeout', () => socket.destroy(new Error('timeout')))
    return socket.on('error', () => answer(500, ''))
  }
  if (!prober.httpGet) return answer(501, '')
  const { path, port: to, httpHeaders = [] } = prober.httpGet
  const headers = Object.fromEntries(httpHeaders.map(({ name, value }) => [name, value]))
  const asked = http.get({ host: pod, port: to, path, headers, localAddress: source, agent: false, timeout }, (got) => {
    let body = ''
    got.setEncoding('utf8').on('data', (text) => { body += text }).on('end', () => answer(got.statusCode, body))
  })
  asked.on('timeout', () => asked.destroy(new Error('timeout')))
  asked.on('error', () => answer(500, ''))
})
server.listen({ port: Number(port), host: '::' })
`
