import { GATE_REASONS } from './gates/reasons.ts'
import { DECISIONS } from './inject/decide.ts'

/** The reference page of the reasons, Markdown. `npm run reference` writes it; a test compares. */
export function printReasons(): string {
  const gates = GATE_REASONS.map((row) => [row.reason, row.outcome, row.meaning] as const)
  const decisions = DECISIONS.map((row) => [row.reason, row.outcome, row.sentence] as const)
  const parts = [INTRODUCTION, table(gates), GATE_NOTES, table(decisions), NOTES]
  return parts.join('\n')
}

function table(rows: readonly (readonly [string, string, string])[]): string {
  const lines = rows.map(([reason, outcome, meaning], index) => {
    return `| ${index + 1} | \`${reason}\` | ${outcome} | ${meaning} |`
  })
  return [
    '| # | reason | outcome | what it means |',
    '| --- | --- | --- | --- |',
    ...lines,
    '',
  ].join('\n')
}

const INTRODUCTION = `# Why a pod is injected or not

Two lists of rows decide, each asked from top to bottom; the first row that speaks wins. Its word in the column "reason" is
stable, and one that was given up is never used for something else. \`sidecar-injector explain\` goes through both for one
pod: [debugging](../guides/debugging.md). This page is printed from the tables in \`core/gates/reasons.ts\` and
\`core/inject/decide.ts\`.

## Before: does the API server ask an injector?

By the selectors of webhooks, from labels of the namespace and of the pod alone. A pod that none takes is never seen by an
injector; \`explain\` and \`check\` can tell.
`

const GATE_NOTES = `## Then: what does the injector decide?

These words also label metrics and log lines, and stand in warnings, Events and the audit log.
`

const NOTES = `- The label or annotation is \`sidecar.istio.io/inject\`; only the texts \`true\` and \`false\` count. A label hides the annotation, also
  an empty one. Any other text is not an answer: the pod goes on to the selectors, with a warning.
- The namespaces of \`ignored-namespace\` are kube-system, kube-public, kube-node-lease and local-path-storage.
- In \`neverInjectSelector\` and \`alwaysInjectSelector\` an empty selector takes nobody, unlike anywhere else in Kubernetes. One that
  cannot be read is passed over, with a warning that says what is wrong with it.
- \`policy\` must be \`enabled\` or \`disabled\`. A typo there switches injection off for everybody, also for pods that ask for it.
`
