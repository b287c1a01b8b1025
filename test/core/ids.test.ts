import t from 'tap'
import { readIds, readOwners } from '../../core/ids.ts'

const rows = [
  { text: '1337', ids: [1337], owners: [1337] },
  { text: '0, 4294967294', ids: [0, 4294967294], owners: [0, 4294967294] },
  { text: ',', ids: [], owners: [] },
  { text: 'java,202', ids: undefined, owners: ['java', 202] },
  { text: 'istio-proxy', ids: undefined, owners: ['istio-proxy'] },
  { text: '4294967295', ids: undefined, owners: undefined },
  { text: '-5', ids: undefined, owners: undefined },
  { text: '1000-2000', ids: undefined, owners: undefined },
  { text: '+7', ids: undefined, owners: undefined },
  { text: '*', ids: undefined, owners: undefined },
  { text: 'a b', ids: undefined, owners: undefined },
  { text: '1\n-j ACCEPT', ids: undefined, owners: undefined },
] as const

t.test('users and groups', async (t) => {
  for (const { text, ids, owners } of rows) {
    const [one, other] = [readIds('x', text), readOwners('x', text)]
    t.strictSame(one.ok ? one.value : undefined, ids, `ids ${JSON.stringify(text)}`)
    t.strictSame(other.ok ? other.value : undefined, owners, `owners ${JSON.stringify(text)}`)
  }
})
