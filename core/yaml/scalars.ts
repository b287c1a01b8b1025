/** What a scalar of the text stands for. */
export type Scalar = null | boolean | number | string

/**
 * What an unquoted scalar stands for to kubectl's reader (sigs.k8s.io/yaml): YAML 1.1 words and
 * octals, `0o` too, no base 60, no dates. The infinities and NaN come back as such numbers.
 */
export function resolvePlain(text: string): Scalar {
  const word = WORDS.get(text)
  if (word !== undefined) return word
  const number = readNumber(text)
  return number === undefined ? text : Number(number)
}

/** The JSON key that an unquoted key becomes; nothing where kubectl's reader has none. */
export function resolveKey(text: string): string | undefined {
  const word = WORDS.get(text)
  if (word === null) return undefined
  const value = word ?? readNumber(text) ?? text
  if (typeof value === 'number') return floatKey(value)
  if (typeof value === 'bigint' && value > LARGEST_SIGNED) return undefined
  return String(value)
}

/** What an explicit tag makes of a scalar's text; nothing when the tag is not known or does not fit. */
export function resolveTagged(tag: string, text: string): Scalar | undefined {
  return TAGS.get(tag)?.(text)
}

const CORE = 'tag:yaml.org,2002:'

/** The tag of plain maps and lists, which changes nothing there. */
export const COLLECTION_TAGS = { map: `${CORE}map`, list: `${CORE}seq` } as const

const TAGS: ReadonlyMap<string, (text: string) => Scalar | undefined> = new Map([
  ['!', (text: string) => text],
  [`${CORE}str`, (text: string) => text],
  [`${CORE}null`, (text: string) => (resolvePlain(text) === null ? null : undefined)],
  [`${CORE}bool`, (text: string) => only('boolean', resolvePlain(text))],
  [`${CORE}int`, (text: string) => onlyInteger(text)],
  [`${CORE}float`, (text: string) => only('number', resolvePlain(text))],
])

function only(type: 'boolean' | 'number', value: Scalar): Scalar | undefined {
  return typeof value === type ? value : undefined
}

function onlyInteger(text: string): Scalar | undefined {
  const number = readNumber(text)
  return typeof number === 'bigint' ? Number(number) : undefined
}

const WORDS: ReadonlyMap<string, Scalar> = new Map<string, Scalar>([
  ...['', '~', 'null', 'Null', 'NULL'].map((word) => [word, null] as const),
  ...words('y Y yes Yes YES true True TRUE on On ON', true),
  ...words('n N no No NO false False FALSE off Off OFF', false),
  ...words('.inf .Inf .INF +.inf +.Inf +.INF', Infinity),
  ...words('-.inf -.Inf -.INF', -Infinity),
  ...words('.nan .NaN .NAN', NaN),
])

function words(list: string, value: Scalar): (readonly [string, Scalar])[] {
  return list.split(' ').map((word) => [word, value] as const)
}

/** An integer as a bigint, a float as a number, nothing for other text. */
function readNumber(text: string): bigint | number | undefined {
  if (!/^[-+.0-9]/.test(text)) return undefined
  // Underscores may stand anywhere, but behind a leading dot only between digits.
  if (text.startsWith('.') && /(?<!\d)_|_(?!\d)/.test(text)) return undefined
  const digits = text.replaceAll('_', '')
  return readInteger(digits) ?? readFloat(digits)
}

const INTEGER = /^([-+]?)(?:0([xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)|0([0-7]+)|(0|[1-9][0-9]*))$/
const SMALLEST = -(2n ** 63n)
const LARGEST_SIGNED = 2n ** 63n - 1n
const LARGEST = 2n ** 64n - 1n

/** An integer of 64 bits in any base; beyond that the text may still be a float. */
function readInteger(text: string): bigint | undefined {
  const found = INTEGER.exec(text)
  if (found === null) return undefined
  const [, sign, prefixed, octal, decimal] = found
  const size = BigInt(decimal ?? (prefixed === undefined ? `0o${octal ?? ''}` : `0${prefixed}`))
  const value = sign === '-' ? -size : size
  // Only an unsigned spelling may use the 64th bit.
  return value < SMALLEST || value > (sign === '' ? LARGEST : LARGEST_SIGNED) ? undefined : value
}

const FLOAT = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/

/** A float; one that is out of range stays text. */
function readFloat(text: string): number | undefined {
  const value = FLOAT.test(text) ? Number(text) : Infinity
  return Number.isFinite(value) ? value : undefined
}

/** Go's shortest text of a 32-bit float, format `g`: what sigs.k8s.io/yaml makes of a float key. */
function floatKey(value: number): string {
  if (Number.isNaN(value)) return '.nan'
  const single = Math.fround(value)
  if (!Number.isFinite(single)) return single > 0 ? '.inf' : '-.inf'
  const [digits = '', power = ''] = shortest(single).split('e')
  const exponent = Number(power)
  if (exponent >= -4 && exponent < 6) return String(Number(`${digits}e${power}`))
  return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`
}

function shortest(single: number): string {
  const lengths = Array.from({ length: 17 }, (_, digits) => single.toExponential(digits))
  return lengths.find((text) => Math.fround(Number(text)) === single) ?? single.toExponential()
}
