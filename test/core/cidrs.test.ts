import t from 'tap'
import {
  containsAddress,
  isLinkLocal,
  networkOf,
  printCidr,
  readAddress,
  readCidr,
  readCidrFlag,
  readCidrs,
  readCidrsOrAll,
} from '../../core/cidrs.ts'

const ranges = [
  ['10.0.0.0/8', '10.0.0.0/8'],
  ['10.1.2.3/8', '10.1.2.3/8'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['2001:DB8::/32', '2001:db8::/32'],
  ['1:0:0:2:0:0:0:3/64', '1:0:0:2::3/64'],
  ['::1.2.3.4/128', '::102:304/128'],
  ['::ffff:a00:0/104', '::ffff:10.0.0.0/104'],
  ['1::2:3:4:5:6:7/16', '1:0:2:3:4:5:6:7/16'],
  ['10.0.0.0', undefined],
  ['10.0.0.0/', undefined],
  ['10.0.0.0/33', undefined],
  ['10.0.0.0/08', undefined],
  ['10.0.0.0/+8', undefined],
  ['10.0.0.0/255.0.0.0', undefined],
  ['010.0.0.0/8', undefined],
  ['10/8', undefined],
  ['0x0a.0.0.0/8', undefined],
  ['256.0.0.0/8', undefined],
  [' 10.0.0.0/8', undefined],
  ['10.0.0.0/8\n', undefined],
  ['2001:db8::/129', undefined],
  ['fd00:::/8', undefined],
  ['00001::/16', undefined],
  ['1::2::3/16', undefined],
  ['1:2:3:4:5:6:7:8::/16', undefined],
  ['fe80::1%eth0/64', undefined],
  ['[fd00::]/8', undefined],
] as const

t.test('a range is read or refused', async (t) => {
  for (const [text, want] of ranges) {
    const read = readCidr('x', text)
    t.equal(read.ok ? printCidr(read.value) : undefined, want, JSON.stringify(text))
  }
})

t.test('lists: what annotations take and what flags take', async (t) => {
  const counts = (text: string): readonly unknown[] =>
    [readCidrs('x', text), readCidrFlag('x', text), readCidrsOrAll('x', text)].map((read) =>
      read.ok ? (read.value === '*' ? '*' : read.value.length) : 'refused',
    )
  t.strictSame(counts(''), [0, 0, 0])
  t.strictSame(counts('*'), ['refused', 'refused', '*'])
  t.strictSame(counts('10.0.0.0/8,fd00::/8'), [2, 2, 2])
  t.strictSame(counts('10.0.0.0/8,'), ['refused', 1, 'refused'])
  t.strictSame(counts('10.0.0.0/8, 11.0.0.0/8'), ['refused', 'refused', 'refused'])
  t.strictSame(counts('10.0.0.0/8,*'), ['refused', 'refused', 'refused'])
})

t.test('every bad item is reported', async (t) => {
  const read = readCidrs('x', 'a,10.0.0.0/8,b')
  t.strictSame(read.ok ? [] : read.problems.map(({ got }) => got), ['a', 'b'])
})

t.test('membership and networks', async (t) => {
  const range = (text: string) => {
    const read = readCidr('x', text)
    if (!read.ok) throw new Error(text)
    return read.value
  }
  t.equal(printCidr(networkOf(range('10.1.2.3/9'))), '10.0.0.0/9')
  t.equal(printCidr(networkOf(range('fd00:ff::1/24'))), 'fd00::/24')
  const rows = [
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.0.0.7/32', '10.0.0.7', true],
    ['0.0.0.0/0', '1.2.3.4', true],
    ['0.0.0.0/0', 'fd00::1', false],
    ['fd00::/127', 'fd00::1', true],
    ['fd00::/127', 'fd00::2', false],
  ] as const
  for (const [cidr, address, want] of rows) {
    t.equal(containsAddress(range(cidr), address), want, `${cidr} ${address}`)
  }
  const local = ['169.254.1.1', 'fe80::1', 'febf::1', 'ff02::1', '224.0.0.5'] as const
  const far = ['169.253.1.1', 'fec0::1', 'ff05::1', '224.0.1.5', 'fd00::1'] as const
  for (const text of [...local, ...far]) {
    const address = readAddress('x', text)
    t.equal(
      address.ok && isLinkLocal(address.value),
      local.some((one) => one === text),
      text,
    )
  }
})
