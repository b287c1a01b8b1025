import t from 'tap'
import { otelResourceAttributes } from '../../../core/inject/otel.ts'

const asking = { hasOtelConventions: true }
const container = (image: string, name = 'app') => ({ name, image })
const prefix = 'resource.opentelemetry.io/'

t.test('nothing unless the mesh asks', async (t) => {
  const mesh = { hasOtelConventions: false }
  t.equal(otelResourceAttributes(mesh, {}, {}, 'shop', [container('web:1')]), '')
})

const images = [
  { image: 'web:1.2', version: '1.2' },
  { image: 'registry.example:5000/web', version: undefined },
  { image: 'registry.example:5000/web:1.2', version: '1.2' },
  { image: 'web@sha256:00ff', version: 'sha256:00ff' },
  { image: 'web:1.2@sha256:00ff', version: '1.2@sha256:00ff' },
]
for (const { image, version } of images) {
  t.test(`the version in ${image}`, async (t) => {
    const parts = [
      'service.namespace=shop',
      ...(version === undefined ? [] : [`service.version=${version}`]),
      'service.instance.id=shop.$(POD_NAME).app',
    ]
    t.equal(otelResourceAttributes(asking, {}, {}, 'shop', [container(image)]), parts.join())
  })
}

const pods = [
  {
    what: 'a label tells the version before the image does',
    labels: { 'app.kubernetes.io/version': 'v7' },
    containers: [container('web:1')],
    want: 'service.namespace=shop,service.version=v7,service.instance.id=shop.$(POD_NAME).app',
  },
  {
    what: 'of several containers none tells the version, and the first names the instance',
    containers: [container('web:1', 'web'), container('log:2', 'log')],
    want: 'service.namespace=shop,service.instance.id=shop.$(POD_NAME).web',
  },
  {
    what: 'annotations win, empty ones do not',
    annotations: { [`${prefix}service.version`]: 'mine', [`${prefix}service.namespace`]: '' },
    labels: { 'app.kubernetes.io/version': 'v7' },
    containers: [],
    want: 'service.namespace=shop,service.version=mine',
  },
]
for (const { what, annotations = {}, labels = {}, containers, want } of pods) {
  t.test(what, async (t) => {
    t.equal(otelResourceAttributes(asking, annotations, labels, 'shop', containers), want)
  })
}
