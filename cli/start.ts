/**
 * What the bin runs, as one file: kube-inject is in it, because pipelines start it once a file and
 * a hundred modules cost more than the injection; every other subcommand is loaded from its modules.
 */
import { basename } from 'node:path'
import { KUBE_INJECT } from './kube-inject.ts'
import { runProgram } from './program.ts'

const argv = process.argv.slice(2)
// kubectl calls what is named kubectl-inject for `kubectl inject`.
if (basename(process.argv[1] ?? '') === 'kubectl-inject') {
  runProgram([KUBE_INJECT.name, ...argv], [KUBE_INJECT])
} else if (argv[0] === KUBE_INJECT.name) runProgram(argv, [KUBE_INJECT])
else void import('./main.ts')
