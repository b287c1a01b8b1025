/**
 * Handlebars text -> overlay pod. A printed value never passes through YAML: the helpers leave a
 * numbered mark in the text, the text is read as YAML, and the marks are replaced by the values.
 * So no value can change the shape of the document, and texts that differ only in values are read
 * once.
 */
import Handlebars from 'handlebars'
import { isArray, isObject, type Json, type JsonObject } from '../json.ts'
import { bad, good, Refusal, type Read } from '../problem.ts'
import { readYaml } from '../yaml.ts'
import { CONTEXT_SCHEMA, type TemplateContext } from './context-schema.ts'
import { sampleOf } from './schema.ts'
import { checkTemplate, PRINTERS, PURE_HELPERS } from './template-check.ts'

/** A template that passed every check at load. */
export type Template = {
  readonly name: string
  /** The overlay for one pod. Throws a Refusal when the text is no YAML: that is the template's fault. */
  readonly render: (context: TemplateContext, lookups: Lookups) => JsonObject
}

/** The maps that the lookup helpers `annotation`, `label` and `value` read. */
export type Lookups = {
  readonly annotations: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly values: JsonObject
}

/** Texts kept per template; each is one combination of branches and list lengths. */
const KEPT_TEXTS = 256
/** Starts a mark; its number and MARK_END follow. No template may contain it. */
const MARK = '@slot:'
const MARK_END = ';'

/** Compiles a template, checks every node of it, and tries it on a sample context. */
export function compileTemplate(name: string, source: string): Read<Template> {
  if (source.includes(MARK)) return bad(`template ${name}`, MARK, 'a template without this text')
  let program
  try {
    program = Handlebars.parse(source)
  } catch (cause) {
    return syntaxProblem(name, cause)
  }
  const problems = checkTemplate(name, program, CONTEXT_SCHEMA)
  if (problems.length > 0) return { ok: false, problems }

  const compiled = environment().compile<TemplateContext>(program, {
    strict: true,
    noEscape: true,
    knownHelpersOnly: true,
    knownHelpers: Object.fromEntries(
      [...PRINTERS, ...PURE_HELPERS].map((helper) => [helper, true]),
    ),
  })
  const prepared = new Map<string, Fill>()

  const render = (context: TemplateContext, lookups: Lookups): JsonObject => {
    const slots: Json[] = []
    const text = compiled(context, { data: { slots, lookups } })
    const overlay = (prepared.get(text) ?? keep(text))(slots)
    if (overlay === null) return {}
    if (!isObject(overlay)) throw fault(name, JSON.stringify(overlay), 'a map')
    return overlay
  }

  /** Reads a text that was not rendered before; the oldest of too many is forgotten. */
  const keep = (text: string): Fill => {
    const read = readYaml(`template ${name}`, text)
    if (!read.ok) throw new Refusal(read.problems)
    const { value } = read
    const fill = prepare(name, value) ?? (() => value)
    const [oldest] = prepared.keys()
    if (prepared.size >= KEPT_TEXTS && oldest !== undefined) prepared.delete(oldest)
    prepared.set(text, fill)
    return fill
  }

  try {
    render(sampleContext(), { annotations: {}, labels: {}, values: {} })
  } catch (cause) {
    if (cause instanceof Refusal) return { ok: false, problems: cause.problems }
    return bad(`template ${name}`, String(cause), 'a template that renders a sample pod')
  }
  return good({ name, render })
}

/**
 * A template of our own, compiled when it is first rendered: most processes use one of several, and a
 * test compiles them all.
 */
export function builtInTemplate(name: string, source: string): Template {
  let compiled: Template | undefined
  return {
    name,
    render: (context, lookups) => {
      if (compiled === undefined) {
        const read = compileTemplate(name, source)
        if (!read.ok) throw new Refusal(read.problems)
        compiled = read.value
      }
      return compiled.render(context, lookups)
    },
  }
}

/** Builds a value from the values of one rendering. */
type Fill = (slots: readonly Json[]) => Json

/** Prepares a parsed text for filling; undefined where nothing is to be filled in: such parts are shared. */
function prepare(name: string, shape: Json): Fill | undefined {
  if (typeof shape === 'string') return shape.includes(MARK) ? prepareSlot(name, shape) : undefined
  if (isArray(shape)) return prepareList(name, shape)
  return isObject(shape) ? prepareMap(name, shape) : undefined
}

function prepareSlot(name: string, mark: string): Fill {
  const number = /^@slot:(\d+);$/.exec(mark)?.[1]
  if (number === undefined) {
    throw fault(
      name,
      mark.replaceAll(/@slot:\d+;/g, '{{json …}}'),
      'a printed value as a whole YAML value; join text with (concat "a" b)',
    )
  }
  const index = Number(number)
  return (slots) => {
    const value = slots[index]
    if (value === undefined) throw fault(name, mark, 'a mark that was printed')
    return value
  }
}

function prepareList(name: string, shape: readonly Json[]): Fill | undefined {
  const items = shape.map((item) => ({ item, fill: prepare(name, item) }))
  if (items.every(({ fill }) => fill === undefined)) return undefined
  return (slots) => items.map(({ item, fill }) => (fill === undefined ? item : fill(slots)))
}

function prepareMap(name: string, shape: JsonObject): Fill | undefined {
  const members = Object.entries(shape).map(([key, item = null]) => ({
    key,
    keyFill: key.includes(MARK) ? prepareSlot(name, key) : undefined,
    item,
    fill: prepare(name, item),
  }))
  if (members.every(({ keyFill, fill }) => keyFill === undefined && fill === undefined)) {
    return undefined
  }
  return (slots) => {
    const map: Record<string, Json> = {}
    for (const { key, keyFill, item, fill } of members) {
      const value = fill === undefined ? item : fill(slots)
      const member = keyFill === undefined ? key : keyFill(slots)
      if (typeof member !== 'string') throw fault(name, JSON.stringify(member), 'text as a key')
      if (member === '__proto__') {
        // A member like any other, which assignment would not make.
        Object.defineProperty(map, member, {
          ...{ value, enumerable: true, configurable: true, writable: true },
        })
      } else map[member] = value
    }
    return map
  }
}

function fault(name: string, got: string, want: string): Refusal {
  return new Refusal([{ path: `template ${name}`, got, want }])
}

/** A Handlebars of its own: nothing registered elsewhere is visible, nothing here leaks out. */
function environment(): typeof Handlebars {
  const own = Handlebars.create()
  for (const helper of ['log', 'lookup']) own.unregisterHelper(helper)
  const print = (value: unknown, options: Options): string => {
    if (value === undefined) throw new Error('a printing helper got no value')
    options.data.slots.push(asJson(value))
    return `"${MARK}${options.data.slots.length - 1}${MARK_END}"`
  }
  own.registerHelper('json', print)
  own.registerHelper('indentYaml', (_spaces: unknown, value: unknown, options: Options) =>
    print(value, options),
  )
  own.registerHelper('concat', (...given: unknown[]) => given.slice(0, -1).map(asText).join(''))
  own.registerHelper('eq', (a: unknown, b: unknown) => a === b)
  own.registerHelper('not', (a: unknown) => !isTruthy(a))
  own.registerHelper('and', (...given: unknown[]) => given.slice(0, -1).every(isTruthy))
  own.registerHelper('or', (...given: unknown[]) => {
    const values = given.slice(0, -1)
    return values.find(isTruthy) ?? values.at(-1)
  })
  own.registerHelper('annotation', (key: unknown, ...rest: unknown[]) =>
    found(rest, (lookups) => lookups.annotations, key),
  )
  own.registerHelper('label', (key: unknown, ...rest: unknown[]) =>
    found(rest, (lookups) => lookups.labels, key),
  )
  own.registerHelper('value', (path: unknown, ...rest: unknown[]) => {
    const options = optionsOf(rest)
    let at: Json | undefined = options.data.lookups.values
    for (const part of asText(path).split('.')) {
      at = isObject(at) && Object.hasOwn(at, part) ? at[part] : undefined
    }
    return at ?? fallback(rest)
  })
  return own
}

type Options = { readonly data: { readonly slots: Json[]; readonly lookups: Lookups } }

/** `annotation "key"` and `annotation "key" default`: presence decides, also of empty text. */
function found(
  rest: readonly unknown[],
  pick: (lookups: Lookups) => Readonly<Record<string, string>>,
  key: unknown,
): Json {
  const map = pick(optionsOf(rest).data.lookups)
  const name = asText(key)
  return (Object.hasOwn(map, name) ? map[name] : undefined) ?? fallback(rest)
}

function fallback(rest: readonly unknown[]): Json {
  return rest.length > 1 ? asJson(rest[0]) : null
}

function optionsOf(rest: readonly unknown[]): Options {
  const options = rest.at(-1)
  if (!isOptions(options)) throw new Error('a helper got no options')
  return options
}

/** Handlebars passes its options last; `data` is what render handed in. */
function isOptions(value: unknown): value is Options {
  return isObject(value) && isObject(value['data'])
}

/** Context values are JSON by type; Handlebars' signatures forget that. */
function asJson(value: unknown): Json {
  if (isJson(value)) return value
  throw new Error(`a printing helper got ${typeof value}`)
}

function isJson(value: unknown): value is Json {
  return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol'
}

function asText(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  throw new Error(`text wanted, got ${value === null ? 'null' : typeof value}`)
}

/** As in `if`: false, 0, "", null and the empty list are false. */
function isTruthy(value: unknown): boolean {
  return isArray(value) ? value.length > 0 : Boolean(value)
}

/** Handlebars' parser tells only the line, in its message. */
function syntaxProblem(name: string, cause: unknown): Read<Template> {
  const message = cause instanceof Error ? cause.message : String(cause)
  const [, line = '1', excerpt = '', caret = ''] =
    /line (\d+):\n(.*)\n(-*\^)/.exec(message) ?? /- (\d+):(\d+)/.exec(message) ?? []
  const column = caret === '' ? Math.max(1, Number(excerpt) + 1) : caret.length
  const where = `template ${name}:${line}:${Number.isFinite(column) ? column : 1}`
  return bad(where, caret === '' ? message : excerpt, 'Handlebars syntax')
}

function sampleContext(): TemplateContext {
  const sample = sampleOf(CONTEXT_SCHEMA)
  if (isContext(sample)) return sample
  throw new Error('the context schema is no group')
}

/** sampleOf follows the schema from which TemplateContext is made. */
function isContext(value: unknown): value is TemplateContext {
  return isObject(value)
}
