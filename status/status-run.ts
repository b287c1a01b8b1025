/** `status` from its flags to its exit status. */
import { makeApi } from '../cluster/api.ts'
import { connect } from '../cluster/connect.ts'
import { dial } from '../cluster/dial.ts'
import { Refusal } from '../core/problem.ts'
import { writeStdout } from '../kube-inject/output.ts'
import type { AskFlags } from './flags.ts'
import { printReport, reportJson } from './status-print.ts'
import { report, type Report } from './status.ts'

/** Exit status of what could not be told. */
const UNTOLD = 2

/** Asks the cluster, prints, and gives the exit status: 0 well, 1 something is wrong, 2 could not tell. */
export async function status(flags: AskFlags): Promise<number> {
  try {
    const told = await ofCluster(flags)
    const printed =
      flags.output === 'json' ? `${JSON.stringify(reportJson(told), null, 2)}\n` : printReport(told)
    await writeStdout([Buffer.from(printed, 'utf8')])
    if (told.problems.length > 0) return 1
    return told.unseen.length > 0 ? UNTOLD : 0
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause
    process.stderr.write(`${cause.message}\n`)
    return UNTOLD
  }
}

async function ofCluster(flags: AskFlags): Promise<Report> {
  const api = makeApi(await connect(flags))
  try {
    return await report(api, flags.istioNamespace, dial, new Date())
  } finally {
    api.close()
  }
}
