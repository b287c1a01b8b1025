// Lets a program see only those variables of its environment that it is meant to see, from its first instruction on.
//
// Node reads some variables before any program of ours runs: NODE_CHANNEL_FD and OPENSSL_CONF can end it without a
// word of JSON, NODE_V8_COVERAGE makes it write files. A container runtime hands its own environment to plugins, so
// the entry point of the executable gets a few instructions in front that leave everything else out.

/** Variables that stay: `CNI_…`, `PATH`, and `TRACEPAR…` (the trace that a call belongs to). */
export const KEPT = ['CNI_', 'PATH=', 'TRACEPAR']

/**
 * What runs first, without its last jump. At the entry point the stack holds argc, the arguments, a null, the
 * variables, a null; the pointers to those that stay move up, then comes a null. Registers that the program's own
 * start needs (rdx; x0) are left alone. Printed by assemblers:
 *
 *   next = out = variables; while (text = *next++) if (starts(text, KEPT)) *out++ = text; *out = 0; goto start
 */
const CODE = {
  x64:
    'f30f1efa488b0424488d74c4104889f7488b064883c6084885c074348b0881f9434e495f741981f950415448741a' +
    '81f95452414375da8178044550415275d14889074883c708ebc88078043d74f1ebc048c70700000000',
  arm64:
    '5f2403d5e10340f9e26f218b42400091e30302aa65c8895225e9ab7206' +
    '2a8852860aa972884a8a522868a872a9088a522948aa72448440f8240200b4870040b9' +
    'ff00056b00010054ff00066b00010054ff00086b01ffff54870440b9ff00096b' +
    'a1feff54648400f8f3ffff1787104039fff4007180ffff54efffff177f0000f9',
}

/** The last jump, from an address to another. */
const JUMP = {
  x64: (from, to) => {
    const bytes = Buffer.from([0xe9, 0, 0, 0, 0])
    bytes.writeInt32LE(to - (from + bytes.length), 1)
    return bytes
  },
  arm64: (from, to) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE((0x14000000 | (((to - from) / 4) & 0x03ffffff)) >>> 0)
    return bytes
  },
}

/** Unit in which the kernel maps files, at least: what lies behind a segment in its last page is mapped with it. */
const PAGE = 4096
/** Kinds of segments, and the flag of those with code. */
const [LOAD, PROGRAM_HEADERS, EXECUTABLE] = [1, 6, 1]

/** Puts the instructions into room that is mapped with code, and the entry point before them. */
export function guardEntry(elf, arch) {
  const code = Buffer.from(CODE[arch], 'hex')
  for (const { segment, start, end } of rooms(elf)) {
    const place = Math.ceil(start / 16) * 16
    const address = segment.address + (place - segment.offset)
    const old = Number(elf.readBigUInt64LE(ENTRY))
    const bytes = Buffer.concat([code, JUMP[arch](address + code.length, old)])
    const room = elf.subarray(place, end)
    if (room.length < bytes.length || room.some((byte) => byte !== 0)) continue
    bytes.copy(elf, place)
    const size = BigInt(Math.max(segment.size, place + bytes.length - segment.offset))
    elf.writeBigUInt64LE(size, segment.header + 32)
    elf.writeBigUInt64LE(size, segment.header + 40)
    elf.writeBigUInt64LE(BigInt(address), ENTRY)
    return
  }
  throw new Error(
    `entry point: got no room for ${String(code.length)} bytes beside code, want some`,
  )
}

/** Parts of the file that are mapped with code and hold nothing: behind a segment, and behind the program headers. */
function rooms(elf) {
  const { segments, end: headersEnd } = readSegments(elf)
  const found = []
  for (const segment of segments) {
    if (segment.type !== LOAD || (segment.flags & EXECUTABLE) === 0) continue
    const end = segment.offset + segment.size
    const next = segments.map(({ offset }) => offset).filter((at) => at >= end)
    found.push({ segment, start: end, end: Math.min(Math.ceil(end / PAGE) * PAGE, ...next) })
    const headers = segments.find(({ type }) => type === PROGRAM_HEADERS)
    const reserved = headers === undefined ? 0 : headers.offset + headers.size
    if (headersEnd > segment.offset && reserved <= end)
      found.push({ segment, start: headersEnd, end: reserved })
  }
  return found
}

/** Where an ELF file of 64 bits names its entry point. */
const ENTRY = 24

function readSegments(elf) {
  if (elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1)
    throw new Error('executable: got another format, want ELF of 64 bits, little-endian')
  const [first, size, count] = [
    Number(elf.readBigUInt64LE(32)),
    elf.readUInt16LE(54),
    elf.readUInt16LE(56),
  ]
  const segments = Array.from({ length: count }, (_, index) => {
    const header = first + index * size
    const number = (at) => Number(elf.readBigUInt64LE(header + at))
    return {
      header,
      type: elf.readUInt32LE(header),
      flags: elf.readUInt32LE(header + 4),
      offset: number(8),
      address: number(16),
      size: number(32),
    }
  })
  return { segments, end: first + count * size }
}
