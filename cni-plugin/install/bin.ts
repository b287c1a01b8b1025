import { realpathSync } from 'node:fs'
import { dirname } from 'node:path'
import { startRepair } from '../repair/start.ts'
import { main, type World } from './main.ts'

// The entry of the bundle. As PID 1 a process dies of no signal that it does not handle.
const ended = new Promise<string>((resolve) => {
  for (const name of ['SIGTERM', 'SIGINT']) {
    process.once(name, () => {
      resolve(name)
      process.once(name, () => process.exit(1))
    })
  }
})
const program = process.argv[1]
const given = {
  argv: process.argv.slice(2),
  env: process.env,
  programDir: program === undefined ? '.' : dirname(realpathSync(program)),
}
const world: World = {
  out: (text: string) => void process.stdout.write(text),
  logLine: (line: string) => void process.stderr.write(line),
  ended,
  startRepair,
}
void main(given, world).then((code) => {
  process.exit(code)
})
