import t from 'tap'
import { printPortRange, readListenPort, readPortRanges, readPorts } from '../../core/ports.ts'

const rows = [
  { text: '', list: [], ranges: [] },
  { text: '80, 443', list: [80, 443], ranges: ['80', '443'] },
  { text: '\t80', list: [80], ranges: ['80'] },
  { text: '0,80', list: [0, 80], ranges: ['80', 'and 0'] },
  { text: '80,80', list: [80, 80], ranges: ['80', '80'] },
  { text: '80,', list: undefined, ranges: ['80'] },
  { text: '8000-8100', list: undefined, ranges: ['8000-8100'] },
  { text: '8000:8100', list: undefined, ranges: ['8000-8100'] },
  { text: '8100-8000', list: undefined, ranges: undefined },
  { text: '0-80', list: undefined, ranges: undefined },
  { text: '65536', list: undefined, ranges: undefined },
  { text: '1-65536', list: undefined, ranges: undefined },
  { text: '+80', list: undefined, ranges: undefined },
  { text: '0x50', list: undefined, ranges: undefined },
  { text: 'http', list: undefined, ranges: undefined },
  { text: '*', list: undefined, ranges: undefined },
  { text: '80 -j RETURN\n-I OUTPUT', list: undefined, ranges: undefined },
] as const

t.test('port lists', async (t) => {
  for (const { text, list, ranges } of rows) {
    const [one, other] = [readPorts('x', text), readPortRanges('x', text)]
    t.strictSame(one.ok ? one.value : undefined, list, `list ${JSON.stringify(text)}`)
    const printed = other.ok
      ? [
          ...other.value.ranges.map((range) => printPortRange(range)),
          ...(other.value.hadZero ? ['and 0'] : []),
        ]
      : undefined
    t.strictSame(printed, ranges, `ranges ${JSON.stringify(text)}`)
  }
})

t.test('a port that something listens on is not 0', async (t) => {
  const values = ['0', '1', '65535', '65536', '', ' 80 '].map(
    (text) => readListenPort('x', text).ok,
  )
  t.strictSame(values, [false, true, true, false, false, true])
})
