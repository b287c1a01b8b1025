import t from 'tap'
import { isNativeByDefault, readNativeMode } from '../../../core/inject/native.ts'

t.test('the word of the environment', async (t) => {
  const words: [string | undefined, string][] = [
    [undefined, 'auto'],
    ['', 'auto'],
    ['auto', 'auto'],
    ['true', 'true'],
    ['false', 'false'],
    ['True', 'false'],
    ['1', 'false'],
  ]
  for (const [text, want] of words) t.equal(readNativeMode(text), want, String(text))
})

const node = (name: string, kubeletVersion: string) => ({ name, kubeletVersion })
const old = node('old', 'v1.28.4')
const young = node('young', 'v1.33.2+k3s1')

const cases = [
  { what: 'every node can', nodes: [young, node('next', '1.40.0-rc.1')], want: true },
  { what: 'one node cannot', nodes: [young, old], want: false },
  { what: 'the last version that cannot', nodes: [node('a', 'v1.32.9')], want: false },
  { what: 'a pod that is bound asks its own node', nodes: [young, old], on: 'young', want: true },
  { what: 'and that node alone', nodes: [young, old], on: 'old', want: false },
  { what: 'an unknown node counts for nothing', nodes: [young], on: 'gone', want: true },
  { what: 'no nodes are known', nodes: [], want: false },
  { what: 'a version that cannot be read', nodes: [young, node('odd', 'unknown')], want: false },
  { what: 'the major number is not looked at', nodes: [node('far', 'v2.0.0')], want: false },
]

for (const { what, nodes, on, want } of cases) {
  t.test(what, async (t) => {
    t.equal(isNativeByDefault('auto', nodes, on), want, 'auto')
    t.equal(isNativeByDefault('true', nodes, on), true, 'true')
    t.equal(isNativeByDefault('false', nodes, on), false, 'false')
  })
}
