/**
 * Where each value of a rendered template stands in the template. The template is rendered once more, with
 * its lines kept, and the text is read with its offsets: so the overlay itself need not carry anything.
 */
import Handlebars from 'handlebars'
import { isArray, isObject, type Json } from '../json.ts'
import { Refusal } from '../problem.ts'
import { parseDocuments } from '../yaml.ts'
import type { YamlNode } from '../yaml/tree.ts'
import type { TemplateContext } from '../inject/context-schema.ts'
import { POD_TYPES } from '../inject/pod-fields.ts'
import { MARK, markOf } from '../inject/template-fill.ts'
import type { Node, Program } from '../inject/template-nodes.ts'
import { makeProgram, type Lookups, type Rendering } from '../inject/template-program.ts'
import type { Template } from '../inject/template.ts'
import { placesOf, type NodePlace } from './template-places.ts'
import { entriesOf, itemName, itemOf, memberOf } from './trail.ts'

/** One value of the overlay: where the template has it, and the same of what is in it. */
export type Printed = {
  readonly place: TemplatePlace
  /** By member name, or by the key of the item as in keyed paths. */
  readonly inside: ReadonlyMap<string, Printed>
}

/** A place of a template, and for what is printed in a loop the number of the round, from 0. */
export type TemplatePlace = Omit<NodePlace, 'line'> & {
  readonly template: string
  readonly line: number
  readonly round: number | undefined
}

/** Renders a template and tells where everything in its overlay comes from. */
export function traceTemplate(
  template: Template,
  context: TemplateContext,
  lookups: Lookups,
): Printed {
  const { name } = template
  const { program, places } = parsedOf(template)
  const visits: Visit[] = []
  const rendering: Rendering = {
    slots: [],
    key: '',
    text: '',
    visit: (node, round) => visits.push({ node, round, start: rendering.text?.length ?? 0 }),
  }
  makeProgram(program, markOf)(context, lookups, rendering)
  const text = rendering.text ?? ''
  const [document] = parseDocuments(`template ${name}`, text)
  if (document?.ok === false) throw new Refusal(document.problems)
  const pages: Page = { name, text, visits, places, slots: rendering.slots }
  const root = document?.value.root
  const nothing = { place: placeAt(pages, 0), inside: new Map() }
  const pod = { field: undefined, type: POD_TYPES.Pod }
  return root === undefined ? nothing : read(root, pages, pod, root.start)
}

/** The tree of a template, whose built-in one has no lines, and the places in it: made once. */
function parsedOf(template: Template): Parsed {
  const known = PARSED.get(template)
  if (known !== undefined) return known
  const program: Program = Handlebars.parse(template.source)
  const made = { program, places: placesOf(program) }
  PARSED.set(template, made)
  return made
}

type Parsed = { readonly program: Program; readonly places: ReadonlyMap<Node, NodePlace> }

const PARSED = new WeakMap<Template, Parsed>()

/** A node of the template where it adds to the text, from offset `start` on. */
type Visit = {
  readonly node: Node
  readonly round: number | undefined
  readonly start: number
}

/** A rendered text and how it came about. */
type Page = {
  readonly name: string
  readonly text: string
  readonly visits: readonly Visit[]
  readonly places: ReadonlyMap<Node, NodePlace>
  /** The printed values by the numbers of their marks. */
  readonly slots: readonly Json[]
}

type Typed = Parameters<typeof memberOf>[0]

function read(node: YamlNode, page: Page, typed: Typed, start: number): Printed {
  switch (node.kind) {
    case 'alias':
      return read(node.target, page, typed, start)
    case 'scalar': {
      const slot = slotOf(page, node.value)
      if (slot !== undefined) return whole(slot, typed, placeAt(page, node.start))
      return { place: placeAt(page, start), inside: new Map() }
    }
    case 'map': {
      const members = node.pairs.map((pair) => {
        const name = slotOf(page, pair.key) ?? pair.key
        const key = typeof name === 'string' ? name : pair.key
        return [key, read(pair.value, page, memberOf(typed, key), pair.start)] as const
      })
      return { place: placeAt(page, start), inside: new Map(members) }
    }
    case 'list': {
      const items = node.items.map((item, index) => {
        const name = itemName(valueOf(item.value, page), index, typed)
        return [name, read(item.value, page, itemOf(typed), item.start)] as const
      })
      return { place: placeAt(page, start), inside: new Map(items) }
    }
  }
}

/** A printed value and all that is in it: they have one place. */
function whole(value: Json, typed: Typed, place: TemplatePlace): Printed {
  if (isArray(value)) {
    const items = value.map(
      (item, index) => [itemName(item, index, typed), whole(item, itemOf(typed), place)] as const,
    )
    return { place, inside: new Map(items) }
  }
  if (!isObject(value)) return { place, inside: new Map() }
  const members = entriesOf(value).map(
    ([name, member]) => [name, whole(member, memberOf(typed, name), place)] as const,
  )
  return { place, inside: new Map(members) }
}

/** The value of a node, marks replaced by what they stand for, as far as keys of items need it. */
function valueOf(node: YamlNode, page: Page): Json {
  switch (node.kind) {
    case 'alias':
      return valueOf(node.target, page)
    case 'scalar':
      return slotOf(page, node.value) ?? node.value
    case 'map':
      return Object.fromEntries(
        node.pairs.map(({ key, value }) => [key, valueOf(value, page)] as const),
      )
    case 'list':
      return []
  }
}

function slotOf({ slots }: Page, value: unknown): Json | undefined {
  if (typeof value !== 'string' || !value.startsWith(MARK)) return undefined
  return slots[Number.parseInt(value.slice(MARK.length), 10)]
}

/** The place of the template that wrote what stands at an offset of the text. */
function placeAt({ name, text, visits, places }: Page, offset: number): TemplatePlace {
  const visit = visits.findLast(({ start }) => start <= offset) ?? visits[0]
  const found = visit === undefined ? undefined : places.get(visit.node)
  if (visit === undefined || found === undefined) {
    return { template: name, line: 1, round: undefined, prints: [], conditions: [] }
  }
  const within = text.slice(visit.start, offset).split('\n').length - 1
  const { prints, conditions } = found
  const { round } = visit
  return { template: name, line: firstLine(visit.node) + within, round, prints, conditions }
}

/** The line where the text of a node begins: blocks that stand alone take a line break from what follows. */
function firstLine(node: Node): number {
  const { line } = node.loc.start
  if (!isContent(node)) return line
  const taken = node.original.slice(0, Math.max(0, node.original.indexOf(node.value)))
  return line + taken.split('\n').length - 1
}

type Content = Node & { readonly value: string; readonly original: string }

function isContent(node: Node): node is Content {
  return node.type === 'ContentStatement' && 'original' in node && 'value' in node
}
