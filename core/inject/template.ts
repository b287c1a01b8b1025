/**
 * Handlebars text -> overlay pod. A printed value never passes through YAML: the text carries a numbered
 * mark in its place, is read as YAML, and the marks are replaced by the values. So no value can change the
 * shape of the document, and renderings that take the same branches read it once.
 */
import Handlebars from 'handlebars'
import { isObject, type Json, type JsonObject } from '../json.ts'
import { bad, good, Refusal, type Read } from '../problem.ts'
import { readYaml } from '../yaml.ts'
import { readQuickly } from '../yaml/quick.ts'
import { CONTEXT_SCHEMA, type TemplateContext } from './context-schema.ts'
import { sampleOf } from './schema.ts'
import { POD_TYPES, type ObjectType } from './pod-fields.ts'
import { checkTemplate } from './template-check.ts'
import { fault, MARK, markOf, prepareOverlay, type Fill } from './template-fill.ts'
import type { Program } from './template-nodes.ts'
import { makeProgram, type Lookups, type Rendering } from './template-program.ts'

/** A template that passed every check at load. */
export type Template = {
  readonly name: string
  /** Its Handlebars text. */
  readonly source: string
  /** The overlay for one pod. Throws a Refusal when the text is no YAML: that is the template's fault. */
  readonly render: (context: TemplateContext, lookups: Lookups) => JsonObject
}

/** Texts kept per template; each is one combination of branches and list lengths. */
const KEPT_TEXTS = 256
/**
 * Compiles a template, checks every node of it, and tries it on a sample context. What it renders is an
 * overlay of `type`, or anything at all.
 */
export function compileTemplate(
  name: string,
  source: string,
  type: ObjectType | 'any' = POD_TYPES.Pod,
): Read<Template> {
  if (source.includes(MARK)) return bad(`template ${name}`, MARK, 'a template without this text')
  let program
  try {
    program = Handlebars.parse(source)
  } catch (cause) {
    return syntaxProblem(name, cause)
  }
  const problems = checkTemplate(name, program, CONTEXT_SCHEMA)
  if (problems.length > 0) return { ok: false, problems }

  const render = renderOf(name, program, type, readYaml)
  try {
    render(sampleContext(), { annotations: {}, labels: {}, values: {} })
  } catch (cause) {
    if (cause instanceof Refusal) return { ok: false, problems: cause.problems }
    return bad(`template ${name}`, String(cause), 'a template that renders a sample pod')
  }
  return good({ name, source, render })
}

/**
 * A template of our own. The build has parsed it and a test has checked it, so that a process which
 * injects one pod and ends does neither; it is made ready when it is first rendered.
 */
export function builtInTemplate(name: string, source: string, program: () => Program): Template {
  let render: Template['render'] | undefined
  return {
    name,
    source,
    render: (context, lookups) => {
      render ??= renderOf(name, program(), POD_TYPES.Pod, readOwn)
      return render(context, lookups)
    },
  }
}

/** Our own texts need no line and column for a fault, unless there is one. */
function readOwn(path: string, text: string): Read<Json> {
  const value = readQuickly(text)
  return value === undefined ? readYaml(path, text) : good(value)
}

/** How a checked template renders. */
function renderOf(
  name: string,
  program: Program,
  type: ObjectType | 'any',
  read: (path: string, text: string) => Read<Json>,
): Template['render'] {
  const run = makeProgram(program, markOf)
  const prepared = new Map<string, Fill>()

  const render = (context: TemplateContext, lookups: Lookups): JsonObject => {
    const rendering: Rendering = { slots: [], key: '' }
    run(context, lookups, rendering)
    const fill = prepared.get(rendering.key) ?? keep(rendering.key, context, lookups)
    const overlay = fill(rendering.slots)
    if (overlay === null || overlay === undefined) return {}
    if (!isObject(overlay)) throw fault(name, JSON.stringify(overlay), 'a map')
    return overlay
  }

  /** Reads the text of branches that were not seen before; the oldest of too many is forgotten. */
  const keep = (key: string, context: TemplateContext, lookups: Lookups): Fill => {
    const rendering: Rendering = { slots: [], key: '', text: '' }
    run(context, lookups, rendering)
    const found = read(`template ${name}`, rendering.text ?? '')
    if (!found.ok) throw new Refusal(found.problems)
    const fill = prepareOverlay(name, found.value, type)
    const [oldest] = prepared.keys()
    if (prepared.size >= KEPT_TEXTS && oldest !== undefined) prepared.delete(oldest)
    prepared.set(key, fill)
    return fill
  }
  return render
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
