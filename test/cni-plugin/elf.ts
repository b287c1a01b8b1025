/** What an ELF file asks of the machine that loads it: the dynamic section, read as far as a test needs it. */

/** Libraries that it names, and the newest version of each kind of symbol (`GLIBC`) that it asks for. */
export type Demands = {
  readonly libraries: readonly string[]
  readonly versions: Readonly<Record<string, string>>
}

const LOAD = 1
const DYNAMIC = 2
const TAGS = { needed: 1, strings: 5, stringsSize: 10 } as const

/** Reads a file of 64 bits, little-endian. */
export function demandsOf(elf: Buffer): Demands {
  const number = (at: number): number => Number(elf.readBigUInt64LE(at))
  const [first, size, count] = [number(32), elf.readUInt16LE(54), elf.readUInt16LE(56)]
  const segments = Array.from({ length: count }, (_, index) => {
    const at = first + index * size
    const [offset, address, length] = [number(at + 8), number(at + 16), number(at + 32)]
    return { type: elf.readUInt32LE(at), offset, address, length }
  })
  const dynamic = segments.find(({ type }) => type === DYNAMIC)
  if (dynamic === undefined) return { libraries: [], versions: {} }
  const entries = Array.from({ length: dynamic.length / 16 }, (_, index) => {
    const at = dynamic.offset + index * 16
    return { tag: number(at), value: number(at + 8) }
  })
  const valueOf = (tag: number): number => entries.find((entry) => entry.tag === tag)?.value ?? 0
  const address = valueOf(TAGS.strings)
  const home = segments.find(
    (one) => one.type === LOAD && one.address <= address && address < one.address + one.length,
  )
  const start = address - (home?.address ?? 0) + (home?.offset ?? 0)
  const strings = elf.subarray(start, start + valueOf(TAGS.stringsSize))
  const textAt = (at: number): string => strings.toString('latin1', at, strings.indexOf(0, at))
  return {
    libraries: entries.filter(({ tag }) => tag === TAGS.needed).map(({ value }) => textAt(value)),
    versions: newest(strings.toString('latin1').split('\0')),
  }
}

function newest(texts: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {}
  for (const text of texts) {
    const [, kind = '', version = ''] = /^(GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+)$/.exec(text) ?? []
    if (kind !== '' && isNewer(version, found[kind] ?? '0')) found[kind] = version
  }
  return found
}

function isNewer(one: string, other: string): boolean {
  return one.localeCompare(other, 'en', { numeric: true }) > 0
}
