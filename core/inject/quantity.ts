/** Kubernetes quantities (apimachinery, api/resource): `100m`, `1.5Gi`, `2e3`. Exact, whatever the size. */
import { bad, good, type Read } from '../problem.ts'

/**
 * A number as resource amounts are written: `digits` times ten to the `exponent`, and the notation in
 * which it is printed. Nothing below a billionth, and nothing binary above 2^63 - 1.
 */
export type Quantity = {
  readonly digits: bigint
  readonly exponent: number
  readonly notation: 'decimal' | 'binary' | 'exponent'
  /** The text itself where Kubernetes prints it as it was written. */
  readonly text?: string
}

const WANT = 'a quantity such as 100m, 1.5 or 1Gi'
/** The smallest amount is 10^-9; what is smaller is rounded up to it. */
const SMALLEST = -9
const LARGEST_BINARY = 2n ** 63n - 1n

/** Reads a quantity as Kubernetes does: blanks are no part of it, `Mi` alone is zero, `1e3` is 1000. */
export function readQuantity(path: string, text: string): Read<Quantity> {
  const quantity = parse(text)
  return quantity === undefined ? bad(path, text, WANT) : good(quantity)
}

/** The text that Kubernetes prints for a quantity: `2000m` is `2`, `1024Mi` is `1Gi`, `0.5` is `500m`. */
export function printQuantity(quantity: Quantity): string {
  if (quantity.text !== undefined) return quantity.text
  if (quantity.digits === 0n) return '0'
  return (
    (quantity.notation === 'binary' ? binaryText(quantity) : undefined) ?? decimalText(quantity)
  )
}

/** The canonical form of a quantity's text; nothing when it is none. */
export function canonicalQuantity(text: string): string | undefined {
  const quantity = parse(text)
  return quantity === undefined ? undefined : printQuantity(quantity)
}

/** Whether two texts are quantities of the same value. */
export function isSameQuantity(a: string, b: string): boolean {
  const left = parse(a)
  const right = parse(b)
  if (left === undefined || right === undefined) return false
  const [one, other] = [shortest(left), shortest(right)]
  return one.digits === other.digits && (one.digits === 0n || one.exponent === other.exponent)
}

const DECIMAL_SUFFIXES = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E']
const BINARY_SUFFIXES = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']

/** What a suffix multiplies by: ten or two to the `power`. */
type Unit = { readonly power: number; readonly notation: Quantity['notation'] }

const UNITS: ReadonlyMap<string, Unit> = new Map<string, Unit>([
  ...BINARY_SUFFIXES.map((suffix, index) => [suffix, unit(10 * index, 'binary')] as const),
  ...DECIMAL_SUFFIXES.map((suffix, index) => [suffix, unit(3 * index - 9, 'decimal')] as const),
])

function unit(power: number, notation: Quantity['notation']): Unit {
  return { power, notation }
}

/** The number in front of the unit, as text. */
type Written = {
  readonly isNegative: boolean
  readonly whole: string
  readonly fraction: string
  readonly text: string
}

const GRAMMAR = /^([+-]?)(\d*)(?:\.(\d*))?([eEinumkKMGTP]+[-+]?\d*|[-+]\d*)?$/

/** Reckoning with longer numbers takes longer than they are worth. */
const LONGEST = 1024

function parse(text: string): Quantity | undefined {
  if (text.length > LONGEST) return undefined
  const match = GRAMMAR.exec(text)
  if (match === null || text === '') return undefined
  const [, sign, digits = '', fraction = '', suffix = ''] = match
  const unit = UNITS.get(suffix) ?? exponentUnit(suffix)
  if (unit === undefined) return undefined
  const whole = digits.replace(/^0+/, '') || '0'
  const written = { isNegative: sign === '-', whole, fraction, text }
  const short = unit.notation === 'binary' ? readBinary(written, unit) : readDecimal(written, unit)
  if (short !== undefined) return short
  // Only the shorter ways take a number without any digit for zero.
  return digits + fraction === '' ? undefined : readExactly(written, unit)
}

/** `e3`, `E-3`: the exponent in 32 bits, as Kubernetes cuts it. */
function exponentUnit(suffix: string): Unit | undefined {
  if (!/^[eE][-+]?\d+$/.test(suffix) || suffix.length > 20) return undefined
  const power = BigInt(suffix.slice(1).replace('+', ''))
  if (power !== BigInt.asIntN(64, power)) return undefined
  return unit(Number(BigInt.asIntN(32, power)), 'exponent')
}

/** Up to 18 decimal digits and nothing below 10^-9: printed as written unless a shorter form exists. */
function readDecimal(written: Written, { power, notation }: Unit): Quantity | undefined {
  const shifted = written.whole + written.fraction
  const exponent = power - written.fraction.length
  if (shifted.length > 18 || exponent < SMALLEST) return undefined
  const isCanonical = exponent % 3 === 0 && !shifted.endsWith('000') && !shifted.startsWith('0')
  return quantity(written, BigInt(shifted), exponent, notation, isCanonical)
}

/** Whole binary amounts of about 15 decimal digits: printed as written unless a multiple of 8. */
function readBinary(written: Written, { power, notation }: Unit): Quantity | undefined {
  if (written.fraction !== '' || written.whole.length + (power * 3) / 10 > 14) return undefined
  const value = BigInt(written.whole)
  return quantity(written, value << BigInt(power), 0, notation, value % 8n !== 0n)
}

function readExactly(written: Written, unit: Unit): Quantity {
  const isBinary = unit.notation === 'binary'
  const value = BigInt(written.whole + written.fraction)
  const size = isBinary ? value << BigInt(unit.power) : value
  const power = (isBinary ? 0 : unit.power) - written.fraction.length
  const digits = power < SMALLEST ? divideUp(size, SMALLEST - power) : size
  const exponent = Math.max(power, SMALLEST)
  if (!isBinary) return quantity(written, digits, exponent, unit.notation)
  const one = 10n ** BigInt(-exponent)
  if (digits > LARGEST_BINARY * one) return quantity(written, LARGEST_BINARY, 0, 'binary')
  return quantity(written, digits, exponent, digits < one ? 'decimal' : 'binary')
}

function quantity(
  { isNegative, text }: Written,
  size: bigint,
  exponent: number,
  notation: Quantity['notation'],
  isCanonical = false,
): Quantity {
  const digits = isNegative ? -size : size
  return isCanonical ? { digits, exponent, notation, text } : { digits, exponent, notation }
}

/** The value divided by a power of ten, rounded away from zero; the power may be beyond all bounds. */
function divideUp(value: bigint, power: number): bigint {
  if (value === 0n) return 0n
  if (power > value.toString().length) return 1n
  const divisor = 10n ** BigInt(power)
  return (value + divisor - 1n) / divisor
}

/** Binary amounts from 1024 on, if whole; smaller ones print like decimal ones. */
function binaryText({ digits, exponent }: Quantity): string | undefined {
  const one = 10n ** BigInt(-exponent)
  const value = digits / one
  if (digits % one !== 0n || (value > -1024n && value < 1024n)) return undefined
  let rest = value
  let times = 0
  for (; rest % 1024n === 0n; times++) rest /= 1024n
  return `${rest}${BINARY_SUFFIXES[times] ?? ''}`
}

function decimalText(quantity: Quantity): string {
  const { digits, exponent } = shortest(quantity)
  const surplus = ((exponent % 3) + 3) % 3
  const power = exponent - surplus
  const number = String(digits * 10n ** BigInt(surplus))
  const suffix = quantity.notation === 'exponent' ? undefined : DECIMAL_SUFFIXES[power / 3 + 3]
  return number + (suffix ?? (power === 0 ? '' : `e${power}`))
}

/** The same value with as few digits as possible. */
function shortest({ digits, exponent }: Quantity): Pick<Quantity, 'digits' | 'exponent'> {
  const text = String(digits)
  const short = text.replace(/0+$/, '')
  return digits === 0n
    ? { digits, exponent: 0 }
    : { digits: BigInt(short), exponent: exponent + text.length - short.length }
}
