import t from 'tap'
import { imageUrl, initImage, proxyImage } from '../../../core/inject/images.ts'
import { readValues, type Values } from '../../../core/inject/values.ts'
import { Refusal } from '../../../core/problem.ts'

function values(global: object): Values {
  const text = JSON.stringify({ global: { hub: 'hub.example/i', tag: '9.1', ...global } })
  const read = readValues([{ path: 'values', text: text }], 'current')
  if (read.ok) return read.value
  throw new Refusal(read.problems)
}

const image = 'sidecar.istio.io/proxyImage'
const type = 'sidecar.istio.io/proxyImageType'
const plain = 'hub.example/i/proxyv2:9.1'

const cases = [
  { what: 'hub, name and tag', proxy: plain, init: plain },
  {
    what: 'a type of ProxyConfig does not reach the init container',
    config: 'debug',
    proxy: `${plain}-debug`,
    init: plain,
  },
  {
    what: 'a variant of the values reaches both',
    global: { variant: 'distroless' },
    proxy: `${plain}-distroless`,
    init: `${plain}-distroless`,
  },
  {
    what: 'ProxyConfig before the values, the annotation before both',
    global: { variant: 'distroless' },
    config: 'debug',
    annotations: { [type]: 'custom' },
    proxy: `${plain}-custom`,
    init: `${plain}-custom`,
  },
  {
    what: 'an empty annotation is said and means the tag as it is',
    global: { variant: 'distroless' },
    config: 'debug',
    annotations: { [type]: '' },
    proxy: plain,
    init: plain,
  },
  {
    what: 'names of the values',
    global: { proxy: { image: 'p' }, proxy_init: { image: 'i' } },
    proxy: 'hub.example/i/p:9.1',
    init: 'hub.example/i/i:9.1',
  },
  {
    what: 'a name with a slash is a whole image',
    global: { proxy_init: { image: 'own.example/init:3' } },
    config: 'debug',
    proxy: `${plain}-debug`,
    init: 'own.example/init:3',
  },
  {
    what: 'a whole image in the annotation is for both, type or not',
    config: 'debug',
    annotations: { [image]: 'own.example/all:4', [type]: 'debug' },
    proxy: 'own.example/all:4',
    init: 'own.example/all:4',
  },
  {
    what: 'without a slash the annotation is passed over',
    global: { proxy_init: { image: 'own.example/init:3' } },
    annotations: { [image]: 'proxyv3' },
    proxy: plain,
    init: 'own.example/init:3',
  },
  {
    what: 'no name means proxyv2',
    global: { proxy: { image: '' }, proxy_init: null },
    proxy: plain,
    init: plain,
  },
]

for (const { what, global = {}, config = '', annotations = {}, proxy, init } of cases) {
  t.test(what, async (t) => {
    t.equal(proxyImage(values(global), config, annotations), proxy, 'proxy')
    t.equal(initImage(values(global), annotations), init, 'init')
  })
}

t.test('one type at the end of the tag gives way', async (t) => {
  t.equal(imageUrl('h', 'n', '1-distroless-debug', 'default'), 'h/n:1-distroless')
  t.equal(imageUrl('h', 'n', '1-debug-x', 'debug'), 'h/n:1-debug-x-debug')
})
