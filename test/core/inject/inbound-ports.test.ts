import t from 'tap'
import { excludeInboundPort } from '../../../core/inject/inbound-ports.ts'

const cases = [
  { what: 'the port comes last', port: '15020', list: '8080', want: '8080,15020' },
  { what: 'a list of nothing but blanks becomes the port', port: '9', list: ' , ,', want: '9' },
  {
    what: 'a port that is there changes nothing',
    port: '8080',
    list: '8080, 1 ,',
    want: '8080, 1 ,',
  },
  { what: 'an item with blanks is not the port', port: '1', list: '8080, 1', want: '8080,1,1' },
  { what: 'port 0 changes nothing', port: ' 0 ', list: ' 7 , 8', want: ' 7 , 8' },
  { what: 'but 00 is a port like any other', port: '00', list: '7', want: '7,00' },
]

for (const { what, port, list, want } of cases) {
  t.test(what, async (t) => t.equal(excludeInboundPort(port, list), want))
}
