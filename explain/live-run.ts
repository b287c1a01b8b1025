/** `explain --live` from its flags to its exit status. */
import { makeApi } from '../cluster/api.ts'
import { connect, type ConnectFlags } from '../cluster/connect.ts'
import type { IstioVersion } from '../core/inject/values.ts'
import { Refusal } from '../core/problem.ts'
import { dial } from '../cluster/dial.ts'
import { liveJson, printLive } from './live-print.ts'
import { readTarget } from '../cluster/target.ts'
import { explainLive, type LiveReport } from './live.ts'

/** The flags that matter with `--live`. */
export type LiveFlags = ConnectFlags & {
  /** `NAMESPACE/POD` or `NAMESPACE/KIND/NAME`. */
  readonly live: string
  readonly output?: 'json' | 'human'
  readonly revision?: string
  readonly istioNamespace?: string
  readonly istioVersion?: IstioVersion
}

/** Asks the cluster that the flags name, and gives what is to be printed. Throws a Refusal. */
export async function runLive(flags: LiveFlags): Promise<string> {
  const target = readTarget('--live', flags.live)
  if (!target.ok) throw new Refusal(target.problems)
  const { revision = '', istioNamespace, istioVersion = 'current' } = flags
  const options = {
    istioVersion,
    environment: process.env,
    ...(revision === '' ? {} : { revision }),
    ...(istioNamespace === undefined ? {} : { istioNamespace }),
  }
  const api = makeApi(await connect(flags))
  try {
    return print(await explainLive(api, target.value, options, dial), flags)
  } finally {
    api.close()
  }
}

function print(report: LiveReport, { output }: LiveFlags): string {
  return output === 'json' ? `${JSON.stringify(liveJson(report), null, 2)}\n` : printLive(report)
}
