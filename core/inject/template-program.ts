/**
 * A checked syntax tree -> functions. Handlebars parses; what runs is this, because nothing of it can
 * reach a prototype, and because a rendering is a list of values and a short text that names the
 * branches taken: the text of the template is put together only for branches not seen before.
 */
import { isArray, isObject, type Json, type JsonObject } from '../json.ts'
import {
  isBlock,
  isCall,
  isPath,
  nameOf,
  valueOf,
  type Call,
  type Node,
  type Path,
  type Program,
} from './template-nodes.ts'

/** The maps that the lookup helpers `annotation`, `label` and `value` read. */
export type Lookups = {
  readonly annotations: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly values: JsonObject
}

/** What one rendering gives. */
export type Rendering = {
  /** The printed values, in order. */
  readonly slots: Json[]
  /** The branches that were taken and the lengths of the lists: equal keys mean equal texts. */
  key: string
  /** The text with a mark for each value; absent when only the values are wanted. */
  text?: string
  /** Told of each node that adds to the text, before it does, and the innermost loop's index. */
  readonly visit?: (node: Node, index: number | undefined) => void
}

/** Renders a context into a rendering. */
export type Render = (context: Json, lookups: Lookups, into: Rendering) => void

/** What paths are resolved from: `this`, what is above it, and the variables of a loop. */
type Frame = {
  readonly self: Json
  readonly parent: Frame | undefined
  readonly root: Json
  readonly lookups: Lookups
  readonly names: Readonly<Record<string, Json>>
  readonly loop: Readonly<Record<string, Json>>
}

type Step = (frame: Frame, into: Rendering) => void
type Value = (frame: Frame) => Json

/** Makes the program of a tree that passed checkTemplate. `mark` is the text that stands for value n. */
export function makeProgram(program: Program, mark: (n: number) => string): Render {
  const run = sequence(program, { mark, names: [] })
  return (context, lookups, into) => {
    run({ self: context, parent: undefined, root: context, lookups, names: {}, loop: {} }, into)
  }
}

/** What is known at one place of a template: how values are marked, and which block parameters there are. */
type Place = { readonly mark: (n: number) => string; readonly names: readonly string[] }

function sequence(program: Program | undefined, place: Place): Step {
  const steps = (program?.body ?? []).flatMap((node) => statement(node, place) ?? [])
  return (frame, into) => {
    for (const step of steps) step(frame, into)
  }
}

function statement(node: Node, place: Place): Step | undefined {
  if (node.type === 'ContentStatement') {
    const content = valueOf(node)
    const text = typeof content === 'string' ? content : ''
    return (frame, into) => {
      if (into.text === undefined) return
      into.visit?.(node, indexIn(frame))
      into.text += text
    }
  }
  if (isBlock(node)) {
    const { program, inverse } = node
    const subject = expression(node.params[0], place)
    const params = program?.blockParams ?? []
    const [first, second] = params
    const then = sequence(program, { ...place, names: [...place.names, ...params] })
    const otherwise = sequence(inverse, place)
    switch (nameOf(node.path)) {
      case 'each':
        return each(subject, then, otherwise, first, second)
      case 'with':
        return branch(subject, inside(subject, then, first), otherwise)
      case 'unless':
        return branch(subject, otherwise, then)
      default:
        return branch(subject, then, otherwise)
    }
  }
  if (!isCall(node) || node.type !== 'MustacheStatement') return undefined
  // The last argument is the value; indentYaml's first one is for the eye.
  const { mark } = place
  const value = expression(node.params.at(-1), place)
  return (frame, into) => {
    into.slots.push(value(frame))
    if (into.text === undefined) return
    into.visit?.(node, indexIn(frame))
    into.text += mark(into.slots.length - 1)
  }
}

function indexIn({ loop }: Frame): number | undefined {
  return typeof loop['index'] === 'number' ? loop['index'] : undefined
}

function branch(subject: Value, then: Step, otherwise: Step): Step {
  return (frame, into) => {
    const isTaken = isTruthy(subject(frame))
    into.key += isTaken ? '+' : '-'
    if (isTaken) then(frame, into)
    else otherwise(frame, into)
  }
}

function inside(subject: Value, then: Step, name: string | undefined): Step {
  return (frame, into) => {
    const self = subject(frame)
    const names = name === undefined ? frame.names : { ...frame.names, [name]: self }
    then({ ...frame, self, parent: frame, names }, into)
  }
}

function each(
  subject: Value,
  then: Step,
  otherwise: Step,
  name: string | undefined,
  indexName: string | undefined,
): Step {
  return (frame, into) => {
    const list = subject(frame)
    const items = isArray(list) ? list : []
    into.key += `${items.length},`
    if (items.length === 0) otherwise(frame, into)
    for (const [index, self] of items.entries()) {
      const names = {
        ...frame.names,
        ...(name === undefined ? {} : { [name]: self }),
        ...(indexName === undefined ? {} : { [indexName]: index }),
      }
      const loop = { index, first: index === 0, last: index === items.length - 1 }
      then({ ...frame, self, parent: frame, names, loop }, into)
    }
  }
}

function expression(node: Node | undefined, place: Place): Value {
  if (node === undefined) return () => null
  if (isPath(node)) return path(node, place)
  if (!isCall(node)) {
    const literal = valueOf(node)
    return () => literal
  }
  return helper(node, place)
}

function path({ data, depth, parts }: Path, { names }: Place): Value {
  const [first = '', ...rest] = parts
  if (data) {
    if (first === 'root') return (frame) => below(frame.root, rest)
    return (frame) => frame.loop[first] ?? null
  }
  if (depth === 0 && names.includes(first)) {
    return (frame) => below(frame.names[first] ?? null, rest)
  }
  if (depth === 0) return (frame) => below(frame.self, parts)
  return (frame) => {
    let at: Frame | undefined = frame
    for (let up = 0; up < depth; up++) at = at?.parent
    return below(at?.self ?? null, parts)
  }
}

/** Members that the check has found in the schema, or whatever operators wrote into the values. */
function below(value: Json, parts: readonly string[]): Json {
  let at: Json | undefined = value
  for (const part of parts) at = isObject(at) && Object.hasOwn(at, part) ? at[part] : undefined
  return at ?? null
}

/** The helpers that compute: name, then arguments -> value. checkTemplate knows the names. */
const HELPERS: Readonly<
  Record<string, (given: readonly Json[], frame: Frame) => Json | undefined>
> = {
  concat: (given) => given.map(asText).join(''),
  eq: ([a, b]) => a === b,
  not: ([a]) => !isTruthy(a ?? null),
  and: (given) => given.every(isTruthy),
  or: (given) => given.find(isTruthy) ?? given.at(-1),
  annotation: ([key, fallback], { lookups }) => lookUp(lookups.annotations, key) ?? fallback,
  label: ([key, fallback], { lookups }) => lookUp(lookups.labels, key) ?? fallback,
  value: ([key, fallback], { lookups }) => {
    const found = below(lookups.values, asText(key ?? null).split('.'))
    return found ?? fallback
  },
}

/** Names of the helpers that compute inside another helper's parentheses; none of them prints. */
export const PURE_HELPERS: readonly string[] = Object.keys(HELPERS)

function helper(node: Call, place: Place): Value {
  const compute = HELPERS[nameOf(node.path) ?? '']
  if (compute === undefined) throw new Error('a template was not checked')
  const given = node.params.map((param) => expression(param, place))
  return (frame) =>
    compute(
      given.map((each) => each(frame)),
      frame,
    ) ?? null
}

function lookUp(map: Readonly<Record<string, string>>, key: Json | undefined): Json | undefined {
  const name = asText(key ?? null)
  return Object.hasOwn(map, name) ? map[name] : undefined
}

function asText(value: Json): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  throw new Error(`text wanted, got ${JSON.stringify(value)}`)
}

/** As Handlebars has it in `if`: false, 0, "", null and the empty list are false. */
function isTruthy(value: Json): boolean {
  return isArray(value) ? value.length > 0 : Boolean(value)
}
