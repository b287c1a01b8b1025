// Program of runtime.test.ts: runs the tests of runtime-inside.ts in a private place, until it is ended.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { privately } from './runtime-place.ts'

const [program, args] = privately(join(import.meta.dirname, 'runtime-inside.ts'))
spawn(program, args, { stdio: 'ignore' }).on('exit', () => process.exit())
