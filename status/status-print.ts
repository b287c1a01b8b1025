/** A report for people, what is wrong first, and as JSON. */
import type { Json } from '../core/json.ts'
import { visible } from '../core/problem.ts'
import type { Report, Served } from './status.ts'

/** Lines for a terminal; names and messages come from a cluster and must not steer it. */
export function printReport(report: Report): string {
  const { served, pods, problems, unseen } = report
  const injected = pods.filter(({ revision }) => revision !== '')
  const lines = [
    problems.length === 0
      ? 'nothing is wrong that can be seen'
      : `${problems.length} things are wrong:`,
    ...problems.map((problem) => `  ${problem}`),
    ...(unseen.length === 0 ? [] : ['not told:', ...unseen.map((sentence) => `  ${sentence}`)]),
    ...served.flatMap(servedLines),
    '',
    `pods: ${pods.length}, with a sidecar: ${injected.length}${revisionsOf(injected)}`,
  ]
  return lines.map((line) => `${visible(line)}\n`).join('')
}

function servedLines({ configuration, of, revision, tag, entries, reach, namespaces }: Served) {
  const whose = of === 'ours' ? '' : ` (${of})`
  const named = tag === '' ? `revision ${revision}` : `tag ${tag} of revision ${revision}`
  return [
    '',
    `${named}: ${configuration}${whose}`,
    `  namespaces: ${namespaces.length === 0 ? 'none' : namespaces.join(', ')}`,
    ...entries.map(({ name, failurePolicy }) => `  entry ${name}, failurePolicy ${failurePolicy}`),
    ...reach.links.map(({ link, state, sentence }) => `  ${link}: ${state}: ${sentence}`),
  ]
}

function revisionsOf(pods: Report['pods']): string {
  const counts = new Map<string, number>()
  for (const { revision } of pods) counts.set(revision, (counts.get(revision) ?? 0) + 1)
  const texts = [...counts].map(([revision, count]) => `${count} of ${revision}`)
  return texts.length === 0 ? '' : ` (${texts.join(', ')})`
}

/** The same as one JSON object. */
export function reportJson({ served, pods, problems, unseen }: Report): Json {
  return {
    problems,
    unseen,
    served: served.map(({ reach, ...rest }) => ({
      ...rest,
      state: reach.state,
      links: reach.links,
    })),
    pods: pods.map(({ lag = null, ...pod }) => ({ ...pod, lag })),
  }
}
