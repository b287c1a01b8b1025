/** The picture of chains as SVG. */
import { HEAD_HEIGHT, ROW_HEIGHT, type Box, type Picture } from './chains.ts'

const SVG = 'http://www.w3.org/2000/svg'
const MARGIN = 12

/** Draws boxes and the jumps between them. */
export function drawPicture({ boxes, width, height }: Picture): SVGElement {
  const svg = make('svg', {
    width: width + 2 * MARGIN,
    height: height + 2 * MARGIN,
    viewBox: `${-MARGIN} ${-MARGIN} ${width + 2 * MARGIN} ${height + 2 * MARGIN}`,
    role: 'img',
    'aria-label': 'chains and the jumps between them',
  })
  for (const box of boxes) svg.append(drawBox(box))
  for (const box of boxes) svg.append(...drawJumps(box, boxes))
  return svg
}

/** Marks the rules with these names, and the jumps that start from them; unmarks all others. */
export function mark(picture: SVGElement, ids: readonly string[]): void {
  for (const part of picture.querySelectorAll('[data-rule]')) {
    part.classList.toggle('met', ids.includes(part.getAttribute('data-rule') ?? ''))
  }
}

function drawBox({ table, name, x, y, width, height, rows }: Box): SVGElement {
  const group = make('g', {})
  group.append(make('rect', { class: 'box', x, y, width, height, rx: 6 }))
  group.append(write(`${table} / ${name}`, { class: 'name', x: x + 10, y: y + 18 }))
  for (const [index, row] of rows.entries()) {
    const top = y + HEAD_HEIGHT + index * ROW_HEIGHT
    const line = make('g', { 'data-rule': row.id })
    line.append(
      make('rect', { class: 'row', x: x + 4, y: top, width: width - 8, height: ROW_HEIGHT, rx: 4 }),
    )
    line.append(write(row.text, { x: x + 10, y: top + 14 }))
    const title = make('title', {})
    title.textContent = row.why
    line.append(title)
    group.append(line)
  }
  return group
}

function drawJumps(box: Box, boxes: readonly Box[]): readonly SVGElement[] {
  return box.rows.flatMap((row, index) => {
    const target = boxes.find(({ table, name }) => table === box.table && name === row.to)
    if (target === undefined) return []
    const x1 = box.x + box.width
    const y1 = box.y + HEAD_HEIGHT + index * ROW_HEIGHT + ROW_HEIGHT / 2
    const y2 = target.y + HEAD_HEIGHT / 2
    const middle = (x1 + target.x) / 2
    const d = `M ${x1} ${y1} C ${middle} ${y1}, ${middle} ${y2}, ${target.x} ${y2}`
    return [make('path', { d, 'data-rule': row.id })]
  })
}

function write(text: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const made = make('text', attributes)
  made.textContent = text
  return made
}

function make(name: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const made = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value))
  if (made instanceof SVGElement) return made
  throw new Error(`internal error, ${name} is no SVG`)
}
