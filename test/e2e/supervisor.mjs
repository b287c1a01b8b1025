// Owns the processes and the folder of one test, so that neither outlives it, however it ends.
//
//   node supervisor.mjs FOLDER
//
// Makes FOLDER, then takes one JSON object a line on stdin and tells what happened on stdout:
//
//   in   {"start": NAME, "file": PROGRAM, "args": [...], "env": {...}}    {"end": NAME}
//        {"signal": NAME, "with": "SIGSTOP"}
//   out  {"ready": true}    {"exited": NAME, "how": "exit 1"}
//
// Output of NAME is appended to FOLDER/NAME.log. The kernel closes stdin when the test process is
// gone, SIGKILL included: then every process group gets SIGTERM, later SIGKILL, and FOLDER goes.

import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const GRACE_MS = 5000

const folder = process.argv[2]
const running = new Map()
let isStopping = false

// Whoever read this may be gone already; that is no reason to leave the work undone.
process.stdout.on('error', () => {})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void stop())

mkdirSync(folder, { mode: 0o700 })
const commands = createInterface({ input: process.stdin })
commands.on('line', (line) => {
  const command = JSON.parse(line)
  if (command.start !== undefined) start(command)
  else if (command.signal !== undefined) kill(running.get(command.signal)?.pid, command.with)
  else void end(command.end)
})
commands.on('close', () => void stop())
tell({ ready: true })

function start({ start: name, file, args, env }) {
  if (isStopping) return
  const log = openSync(join(folder, `${name}.log`), 'a')
  // Detached: a group of its own, so that what it starts in turn is ended with it.
  const child = spawn(file, args, { cwd: folder, env, stdio: ['ignore', log, log], detached: true })
  closeSync(log)
  const exited = new Promise((resolve) => {
    const settle = (how) => {
      running.delete(name)
      tell({ exited: name, how })
      resolve()
    }
    child.once('error', (error) => settle(error.message))
    child.once('exit', (code, signal) => settle(signal ?? `exit ${String(code)}`))
  })
  running.set(name, { pid: child.pid, exited })
}

/** Ends one process and whatever else is in its group. */
async function end(name) {
  const { pid, exited } = running.get(name) ?? {}
  if (pid === undefined) return
  kill(pid, 'SIGTERM')
  // One that was stopped in its tracks cannot end before it goes on.
  kill(pid, 'SIGCONT')
  const timer = setTimeout(() => kill(pid, 'SIGKILL'), GRACE_MS)
  await exited
  clearTimeout(timer)
  kill(pid, 'SIGKILL')
}

async function stop() {
  if (isStopping) return
  isStopping = true
  // Last started, first ended: an API server without its etcd would not end in peace.
  for (const name of [...running.keys()].reverse()) await end(name)
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  process.exit(0)
}

function kill(pid, signal) {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // The group is gone already.
  }
}

function tell(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`)
}
