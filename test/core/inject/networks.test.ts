import t from 'tap'
import { appendMultusNetwork } from '../../../core/inject/networks.ts'

const cases = [
  { what: 'the only one', existing: '', want: 'ns/net' },
  { what: 'after others', existing: 'a,b', want: 'a,b, ns/net' },
  { what: 'there already, with blanks', existing: 'a , ns/net ', want: 'a , ns/net ' },
  { what: 'the name alone is another network', existing: 'net', want: 'net, ns/net' },
  {
    what: 'with an interface it is another one too',
    existing: 'ns/net@e1',
    want: 'ns/net@e1, ns/net',
  },
  {
    what: 'in JSON',
    existing: '[{"name":"a"}]',
    want: '[{"name":"a"}, {"name": "net", "namespace": "ns"}]',
  },
  {
    what: 'in JSON, before the last bracket',
    existing: '[ {"name":"a","ips":["10.0.0.1/8"]} ] ',
    want: '[ {"name":"a","ips":["10.0.0.1/8"]} , {"name": "net", "namespace": "ns"}] ',
  },
  {
    what: 'there already in JSON',
    existing: '[{"namespace":"ns","name":"net","interface":"e1"}]',
    want: '[{"namespace":"ns","name":"net","interface":"e1"}]',
  },
  {
    what: 'JSON of another namespace',
    existing: '[{"name":"net","namespace":"other"}]',
    want: '[{"name":"net","namespace":"other"}, {"name": "net", "namespace": "ns"}]',
  },
  { what: 'JSON that cannot be read', existing: '[{"name":]', want: '[{"name":]' },
  { what: 'JSON that is no list', existing: '{"name":["x"]}', want: '{"name":["x"]}' },
]

for (const { what, existing, want } of cases) {
  t.test(what, async (t) => {
    const once = appendMultusNetwork(existing, 'ns/net')
    t.equal(once, want)
    t.equal(appendMultusNetwork(once, 'ns/net'), once, 'twice is once')
  })
}

t.test('a name in JSON is written as JSON', async (t) => {
  t.equal(appendMultusNetwork('[{}]', 'a"b'), '[{}, {"name": "a\\"b"}]')
})
