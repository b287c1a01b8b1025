/** The page: reads its fields, and shows what session.ts makes of them. Text is only ever set as text. */
import { trace } from '../core/rules/trace.ts'
import type { RuleSet } from '../core/rules/model.ts'
import type { IstioVersion } from '../core/inject/values.ts'
import { metBy, pictureOf } from './chains.ts'
import { drawPicture, mark } from './draw.ts'
import { element, find } from './element.ts'
import { describeEnd, EXAMPLES, type Example } from './packets.ts'
import { look, type Line, type View } from './session.ts'

const FIRST = `# Change me.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
      annotations:
        traffic.sidecar.istio.io/excludeOutboundPorts: "3306"
    spec:
      containers:
      - name: web            # comments stay
        image: nginx:1.29
        ports:
        - containerPort: 8080
        readinessProbe:
          httpGet: {path: /ready, port: 8080}
`

/** Milliseconds without a key before the result is made anew. */
const WAIT_MS = 250

const SIGNS = { both: ' ', old: '-', new: '+' } as const

start()

function start(): void {
  const manifest = find('manifest', HTMLTextAreaElement)
  manifest.value = FIRST
  let waiting: ReturnType<typeof setTimeout> | undefined
  const later = (): void => {
    clearTimeout(waiting)
    waiting = setTimeout(refresh, WAIT_MS)
  }
  for (const id of ['manifest', 'values', 'mesh']) {
    find(id, HTMLTextAreaElement).addEventListener('input', later)
  }
  for (const id of ['native', 'cni']) find(id, HTMLInputElement).addEventListener('change', refresh)
  find('version', HTMLSelectElement).addEventListener('change', refresh)
  refresh()
}

function refresh(): void {
  const view = tryLook()
  showFates(view)
  const items = view.lines.map((line, index) => lineOf(line, view.lines[index - 1]?.why))
  find('lines', HTMLElement).replaceChildren(...items)
  showTraffic(view.fates.find(({ rules }) => rules !== undefined)?.rules)
}

/** A fault of ours is shown like any other: the page goes on. */
function tryLook(): View {
  try {
    return look({
      manifest: find('manifest', HTMLTextAreaElement).value,
      values: find('values', HTMLTextAreaElement).value,
      mesh: find('mesh', HTMLTextAreaElement).value,
      istioVersion: versionOf(find('version', HTMLSelectElement).value),
      isNative: find('native', HTMLInputElement).checked,
      isCni: find('cni', HTMLInputElement).checked,
    })
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    return { problems: [text], warnings: [], fates: [], lines: [] }
  }
}

function versionOf(text: string): IstioVersion {
  return text === '1.17' || text === '1.8' ? text : 'current'
}

function showFates({ problems, warnings, fates }: View): void {
  const rows = [
    ...problems.map((text) => element('p', { class: 'problem' }, text)),
    ...fates.map(({ title, sentence }) => element('p', {}, `${title}: ${sentence}`)),
    ...warnings.map((text) => element('p', { class: 'warning' }, text)),
  ]
  find('fates', HTMLElement).replaceChildren(...rows)
}

/** One line, its reason beside it where that is another than `before`; a click opens and closes it whole. */
function lineOf(line: Line, before: string | undefined): HTMLElement {
  const { why } = line
  const sign = element('span', {}, SIGNS[line.in])
  const item = element('li', { class: line.in })
  if (why === undefined) {
    item.append(sign, element('span', {}, line.text))
    return item
  }
  const button = element('button', { type: 'button', 'aria-expanded': 'false' }, line.text)
  button.addEventListener('click', () => {
    const open = item.querySelector('.why')
    if (open === null) item.append(element('div', { class: 'why' }, why))
    else open.remove()
    button.setAttribute('aria-expanded', String(open === null))
  })
  item.append(sign, button)
  if (why !== before) item.append(element('span', { class: 'beside' }, why))
  return item
}

function showTraffic(rules: RuleSet | undefined): void {
  const [packets, chains, hops, end] = ['packets', 'chains', 'hops', 'end'].map((id) =>
    find(id, HTMLElement),
  )
  for (const part of [packets, chains, hops, end]) part?.replaceChildren()
  if (rules === undefined) {
    end?.append('no pod here is injected with rules')
    return
  }
  const picture = drawPicture(pictureOf(rules))
  chains?.append(picture)
  const buttons = EXAMPLES.map((example) => {
    const button = element('button', { type: 'button', 'aria-pressed': 'false' }, example.title)
    button.addEventListener('click', () => {
      for (const other of buttons) other.setAttribute('aria-pressed', String(other === button))
      follow(rules, example, picture)
    })
    return button
  })
  packets?.append(...buttons)
}

/** Shows the way of one packet: in the picture, and rule by rule below it. */
function follow(rules: RuleSet, { packet }: Example, picture: SVGElement): void {
  const traced = trace(rules, packet)
  mark(picture, metBy(traced))
  const from = packet.from.address
  const to = `${packet.to.address}:${String(packet.to.port)}`
  const who = packet.uid === undefined ? '' : `, uid ${String(packet.uid)}`
  find('end', HTMLElement).textContent =
    `${packet.protocol} ${from} > ${to}${who}: ${describeEnd(traced.end)}`
  const items = traced.hops.map(({ table, chain, place, rule }) => {
    const text = place === undefined ? 'end of the chain' : `rule ${String(place)}`
    const item = element('li', {}, `${table} ${chain}, ${text} `)
    if (rule?.why !== undefined) item.append(element('span', { class: 'why' }, rule.why))
    return item
  })
  find('hops', HTMLElement).replaceChildren(...items)
}
