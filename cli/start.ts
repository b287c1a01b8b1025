/**
 * What the bin runs, as one file: kube-inject is in it, because pipelines start it once a file and
 * a hundred modules cost more than the injection; every other subcommand is loaded from its modules.
 */
import { KUBE_INJECT } from './kube-inject.ts'
import { runProgram } from './program.ts'

if (process.argv[2] === KUBE_INJECT.name) runProgram(process.argv.slice(2), [KUBE_INJECT])
else void import('./main.ts')
