/** `doctor` from its flags to its exit status. */
import { makeApi } from '../cluster/api.ts'
import { connect } from '../cluster/connect.ts'
import { dial } from '../cluster/dial.ts'
import { readTarget } from '../cluster/target.ts'
import { Refusal } from '../core/problem.ts'
import { writeStdout } from '../kube-inject/output.ts'
import { ask } from './ask.ts'
import type { AskFlags } from './flags.ts'
import { diagnosisJson, printDiagnosis } from './doctor-print.ts'
import { diagnose, type Diagnosis } from './doctor.ts'

const EXIT: Readonly<Record<Diagnosis['state'], number>> = { well: 0, ill: 1, unsure: 2 }

/** Asks the cluster, prints, and gives the exit status. */
export async function doctor(text: string | undefined, flags: AskFlags): Promise<number> {
  try {
    const diagnosis = await ofCluster(text, flags)
    const printed =
      flags.output === 'json'
        ? `${JSON.stringify(diagnosisJson(diagnosis), null, 2)}\n`
        : printDiagnosis(diagnosis)
    await writeStdout([Buffer.from(printed, 'utf8')])
    return EXIT[diagnosis.state]
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause
    process.stderr.write(`${cause.message}\n`)
    return EXIT.unsure
  }
}

async function ofCluster(text: string | undefined, flags: AskFlags): Promise<Diagnosis> {
  const target = text === undefined ? undefined : readTarget('doctor', text)
  if (target?.ok === false) throw new Refusal(target.problems)
  const api = makeApi(await connect(flags))
  try {
    return await diagnose(api, {
      target: target?.value,
      istioNamespace: flags.istioNamespace,
      dial,
      ask,
      here: () => new Date(),
    })
  } finally {
    api.close()
  }
}
