import t from 'tap'
import { readInterfaceFlag, readInterfaces } from '../../core/interfaces.ts'

const rows = [
  { text: '', annotation: [], flag: [] },
  { text: 'eth0, eth1', annotation: ['eth0', 'eth1'], flag: ['eth0', 'eth1'] },
  { text: 'eth0\n', annotation: ['eth0'], flag: ['eth0'] },
  { text: 'abcdefghijklmno', annotation: ['abcdefghijklmno'], flag: ['abcdefghijklmno'] },
  { text: 'abcdefghijklmnop', annotation: undefined, flag: undefined },
  { text: 'eth0,', annotation: undefined, flag: ['eth0'] },
  { text: 'tun+', annotation: undefined, flag: ['tun+'] },
  { text: '+', annotation: undefined, flag: undefined },
  { text: 'eth0:1', annotation: undefined, flag: undefined },
  { text: 'net/1', annotation: undefined, flag: undefined },
  { text: '!eth0', annotation: undefined, flag: undefined },
  { text: '0eth', annotation: undefined, flag: undefined },
  { text: '-x', annotation: undefined, flag: undefined },
  { text: 'eth9 -j RETURN', annotation: undefined, flag: undefined },
  { text: 'eth9\n-A OUTPUT', annotation: undefined, flag: undefined },
] as const

t.test('interface names', async (t) => {
  for (const { text, annotation, flag } of rows) {
    const [one, other] = [readInterfaces('x', text), readInterfaceFlag('x', text)]
    t.strictSame(one.ok ? one.value : undefined, annotation, `annotation ${JSON.stringify(text)}`)
    t.strictSame(other.ok ? other.value : undefined, flag, `flag ${JSON.stringify(text)}`)
  }
})
