/**
 * A worker: one request, then the same again on that connection when `turns[0]` says so; `turns[1]` says that it was
 * written. Posts `idle` in between, and in the end what came.
 */
import { connect } from 'node:tls'
import { parentPort, workerData } from 'node:worker_threads'

const { port, ca, request, turns } = workerData
let text = ''
let isIdle = false
const socket = connect({ host: '127.0.0.1', port, ca })
socket.on('data', (chunk) => {
  text += String(chunk)
  if (isIdle || !text.endsWith('}')) return
  isIdle = true
  text = ''
  parentPort.postMessage('idle')
  Atomics.wait(turns, 0, 0)
  socket.write(request, () => {
    Atomics.store(turns, 1, 1)
    Atomics.notify(turns, 1)
  })
})
socket.on('error', (error) => {
  text += error.message
})
socket.on('close', () => parentPort.postMessage(text))
socket.write(request)
