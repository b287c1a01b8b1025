import { isObject } from '../json.ts'
import { INTERCEPTION_MODES } from '../inject/proxy-config-fields.ts'
import { readQuantity, type Quantity } from '../inject/quantity.ts'
import { readPorts, type Port } from '../ports.ts'
import { bad, good, type Read } from '../problem.ts'

/** Reads a switch as Go does: 1, t, T, TRUE, true, True and their opposites. */
export function readBoolean(path: string, text: string): Read<boolean> {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return good(true)
  return /^(0|f|F|FALSE|false|False)$/.test(text) ? good(false) : bad(path, text, 'true or false')
}

/** Reads a number of 32 bits in decimal digits, nothing around them. */
export function readCount(path: string, text: string): Read<number> {
  const count = /^\d+$/.test(text) ? Number(text) : Infinity
  return count <= 4294967295 ? good(count) : bad(path, text, 'a whole number from 0 to 4294967295')
}

/** Reads a quantity as the API server takes it for a resource: not below zero. */
export function readAmount(path: string, text: string): Read<Quantity> {
  const quantity = readQuantity(path, text)
  if (!quantity.ok || quantity.value.digits >= 0n) return quantity
  return bad(path, text, 'a quantity that is not negative')
}

/** Whether an amount that is not negative is more than another one. Exponents may be beyond all bounds. */
export function isMore(one: Quantity, other: Quantity): boolean {
  if (one.digits === 0n || other.digits === 0n) return one.digits > other.digits
  const [a, b] = [String(one.digits), String(other.digits)]
  const [size, otherSize] = [a.length + one.exponent, b.length + other.exponent]
  const length = Math.max(a.length, b.length)
  return size === otherSize ? a.padEnd(length, '0') > b.padEnd(length, '0') : size > otherSize
}

/** Reads the name of an interception mode. */
export function readMode(path: string, text: string): Read<(typeof INTERCEPTION_MODES)[number]> {
  const mode = INTERCEPTION_MODES.find((name) => name === text)
  return mode === undefined ? bad(path, text, INTERCEPTION_MODES.join(', ')) : good(mode)
}

/** Reads a list of ports, or exactly `*`. */
export function readPortsOrAll(path: string, text: string): Read<'*' | readonly Port[]> {
  return text === '*' ? good('*') : readPorts(path, text)
}

/** Reads an image reference. One without `/` has no effect and is not judged. */
export function readImage(path: string, text: string): Read<string> {
  if (!text.includes('/') || text.trim() === text) return good(text)
  return bad(path, text, 'an image reference without blanks around it')
}

/** Reads the end of an image tag. */
export function readImageType(path: string, text: string): Read<string> {
  return /^[\w.-]*$/.test(text) ? good(text) : bad(path, text, 'letters, digits, "_", "." or "-"')
}

/** Reads a name that must be there. */
export function readName(path: string, text: string): Read<string> {
  return text === '' ? bad(path, text, 'a name') : good(text)
}

/** Reads the text of a JSON object, whatever is in it. */
export function readJsonMap(path: string, text: string): Read<unknown> {
  const value = parse(text)
  return isObject(value) ? good(value) : bad(path, text, 'a JSON object')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
