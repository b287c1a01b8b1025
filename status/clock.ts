/** The clock of the API server: by it certificates are judged, and not by that of this machine. */
import type { Api } from '../cluster/api.ts'
import type { Finding } from './finding.ts'

/** What its clock shows, and how it stands to ours. */
export type Clock = { readonly now: Date; readonly finding: Finding }

/** Seconds by which clocks may differ: its answers show whole seconds, and take a while. */
const TOLERATED = 30

/** Reads the Date of any answer. Where there is none, our own clock has to do. */
export async function readClock(api: Api, here: () => Date): Promise<Clock> {
  const check = 'clock'
  try {
    const answer = await api.open({ path: '/version' }, AbortSignal.timeout(10_000))
    answer.resume()
    const now = new Date(answer.headers.date ?? '')
    if (Number.isNaN(now.getTime())) throw new Error('its answers bear no date')
    const ahead = Math.round((here().getTime() - now.getTime()) / 1000)
    const isSame = Math.abs(ahead) <= TOLERATED
    const way = ahead > 0 ? 'ahead of' : 'behind'
    const sentence = isSame
      ? 'this machine and the API server have the same time'
      : `the clock of this machine is ${Math.abs(ahead)} s ${way} that of the API server`
    return { now, finding: { check, state: isSame ? 'ok' : 'not-ok', sentence } }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const sentence = `the clock of the API server could not be read: ${why}`
    return { now: here(), finding: { check, state: 'unknown', sentence } }
  }
}
