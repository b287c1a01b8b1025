/** The ways of requests as a Mermaid sequence diagram. */
import type { Leg } from './journey.ts'
import type { Observed } from './observe.ts'

/** A request that was observed, and what it shows. */
export type Drawn = { readonly title: string; readonly observed: Observed }

/** Mermaid text; every viewer of Markdown that knows Mermaid draws it. */
export function drawMermaid(requests: readonly Drawn[]): string {
  const lines = [
    'sequenceDiagram',
    'participant C as client',
    'participant A as application (uid 1000)',
    'participant R as rules in the pod',
    'participant E as Envoy (uid 1337)',
    'participant S as servers',
    ...requests.flatMap(({ title, observed }, index) => [
      `Note over C,S: ${index + 1}. ${title}`,
      ...observed.journey.legs.flatMap((leg) => drawLeg(leg, observed)),
    ]),
  ]
  return lines.map((line, index) => `${index === 0 ? '' : '  '}${line}\n`).join('')
}

function drawLeg(leg: Leg, { answer }: Observed): readonly string[] {
  const { packet, taken, trace } = leg
  const isFromClient = 'in' in packet
  const isProxy = packet.uid === 1337
  const from = isFromClient ? 'C' : isProxy ? 'E' : 'A'
  const isInside = isFromClient || packet.out === 'lo'
  const to = taken === 'destination' ? (isInside ? 'A' : 'S') : 'E'
  const rule = trace.hops.filter(({ place }) => place !== undefined).at(-1)
  const by = rule === undefined ? 'no rule' : `${rule.chain} ${rule.place}`
  const { end } = trace
  const what = end.kind === 'captured' ? `${by}: to ${end.port}` : `${by}: let through`
  const last = taken === 'destination' ? `, answers ${answer.status}` : ''
  return [
    `${from}->>R: ${packet.from.address} to ${packet.to.address} port ${packet.to.port}`,
    `R->>${to}: ${what}${last}`,
  ]
}
