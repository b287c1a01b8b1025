import { isArray, isObject, type JsonObject } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import { good, type Problem, type Read } from '../problem.ts'

/** One condition on a map of labels. `values` is empty for Exists and DoesNotExist. */
export type Requirement = {
  readonly key: string
  readonly operator: Operator
  readonly values: readonly string[]
}

/** The four operators of a Kubernetes label selector. */
export type Operator = keyof typeof OPERATORS

/** A label selector that was read: all requirements must hold, so that the empty one takes everything. */
export type Selector = readonly Requirement[]

/** What each operator asks of the label, and whether it needs values. */
const OPERATORS = {
  In: {
    needsValues: true,
    holds: (label: string | undefined, values: readonly string[]) =>
      label !== undefined && values.includes(label),
    print: (key: string, values: readonly string[]) => `${key} in (${values.join(',')})`,
  },
  NotIn: {
    needsValues: true,
    holds: (label: string | undefined, values: readonly string[]) =>
      label === undefined || !values.includes(label),
    print: (key: string, values: readonly string[]) => `${key} notin (${values.join(',')})`,
  },
  Exists: {
    needsValues: false,
    holds: (label: string | undefined) => label !== undefined,
    print: (key: string) => key,
  },
  DoesNotExist: {
    needsValues: false,
    holds: (label: string | undefined) => label === undefined,
    print: (key: string) => `!${key}`,
  },
} as const

/**
 * Reads a Kubernetes label selector (`matchLabels`, `matchExpressions`) by the rules of its API: the
 * operators, the number of values and the spelling of keys and values. Absent or null is the empty
 * selector; unknown members are ignored, as the API server ignores them.
 */
export function readSelector(path: string, value: unknown): Read<Selector> {
  if (value === undefined || value === null) return good([])
  if (!isObject(value)) return { ok: false, problems: [wrong(path, value, 'a label selector')] }
  const found: Found = { requirements: [], problems: [] }
  readLabels(`${path}.matchLabels`, value['matchLabels'], found)
  readExpressions(`${path}.matchExpressions`, value['matchExpressions'], found)
  return found.problems.length === 0
    ? good(found.requirements)
    : { ok: false, problems: found.problems }
}

/** Whether labels meet every requirement. */
export function selects(selector: Selector, labels: StringMap): boolean {
  return selector.every(({ key, operator, values }) => {
    const label = Object.hasOwn(labels, key) ? labels[key] : undefined
    return OPERATORS[operator].holds(label, values)
  })
}

/** A requirement as kubectl writes it: `key in (a,b)`, `key notin (a)`, `key`, `!key`. */
export function printRequirement({ key, operator, values }: Requirement): string {
  return OPERATORS[operator].print(key, values)
}

type Found = { readonly requirements: Requirement[]; readonly problems: Problem[] }

function readLabels(path: string, value: unknown, found: Found): void {
  if (value === undefined || value === null) return
  if (!isObject(value)) {
    found.problems.push(wrong(path, value, 'a map of labels'))
    return
  }
  for (const [key, label] of Object.entries(value)) {
    const at = `${path}[${key}]`
    const problems = [...checkKey(at, key), ...checkValue(at, label)]
    found.problems.push(...problems)
    if (problems.length > 0 || typeof label !== 'string') continue
    found.requirements.push({ key, operator: 'In', values: [label] })
  }
}

function readExpressions(path: string, value: unknown, found: Found): void {
  if (value === undefined || value === null) return
  if (!isArray(value)) {
    found.problems.push(wrong(path, value, 'a list of expressions'))
    return
  }
  for (const [index, expression] of value.entries()) {
    const at = `${path}[${index}]`
    if (isObject(expression)) readExpression(at, expression, found)
    else found.problems.push(wrong(at, expression, 'an expression: key, operator, values'))
  }
}

function readExpression(path: string, expression: JsonObject, found: Found): void {
  const { key, operator } = expression
  const values = expression['values'] ?? []
  const problems = checkKey(`${path}.key`, key)
  if (!isOperator(operator)) {
    problems.push(wrong(`${path}.operator`, operator, 'In, NotIn, Exists or DoesNotExist'))
  }
  if (!isArray(values)) problems.push(wrong(`${path}.values`, values, 'a list of label values'))
  else {
    if (isOperator(operator)) problems.push(...checkCount(`${path}.values`, operator, values))
    problems.push(...values.flatMap((item, index) => checkValue(`${path}.values[${index}]`, item)))
  }
  found.problems.push(...problems)
  if (problems.length > 0 || typeof key !== 'string' || !isOperator(operator)) return
  found.requirements.push({ key, operator, values: isArray(values) ? values.filter(isText) : [] })
}

function isOperator(value: unknown): value is Operator {
  return typeof value === 'string' && Object.hasOwn(OPERATORS, value)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function checkCount(path: string, operator: Operator, values: readonly unknown[]): Problem[] {
  if (OPERATORS[operator].needsValues === values.length > 0) return []
  const want = values.length > 0 ? `no values with ${operator}` : `at least one with ${operator}`
  return [wrong(path, values, want)]
}

/** Kubernetes labels: "Syntax and character set". */
const NAME = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/
const DOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/
const LONGEST_NAME = 63
const LONGEST_DOMAIN = 253

function checkKey(path: string, key: unknown): Problem[] {
  if (typeof key === 'string' && isKey(key)) return []
  return [wrong(path, key, 'a label key: a name of at most 63 characters, after "domain/" if any')]
}

function isKey(key: string): boolean {
  const slash = key.indexOf('/')
  if (!isName(key.slice(slash + 1))) return false
  if (slash < 0) return true
  const domain = key.slice(0, slash)
  return domain.length <= LONGEST_DOMAIN && DOMAIN.test(domain)
}

function isName(text: string): boolean {
  return text.length <= LONGEST_NAME && NAME.test(text)
}

function checkValue(path: string, value: unknown): Problem[] {
  if (typeof value === 'string' && (value === '' || isName(value))) return []
  const want =
    'a label value: at most 63 letters, digits, "-", "_" or ".", alphanumeric at both ends'
  return [wrong(path, value, want)]
}

function wrong(path: string, value: unknown, want: string): Problem {
  if (value === undefined) return { path, got: 'nothing', want }
  return { path, got: typeof value === 'string' ? value : JSON.stringify(value), want }
}
