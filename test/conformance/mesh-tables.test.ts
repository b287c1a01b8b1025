import t from 'tap'
import { imageUrl, proxyImage } from '../../core/inject/images.ts'
import { excludeInboundPort } from '../../core/inject/inbound-ports.ts'
import { defaultMeshConfig, readMeshConfig } from '../../core/inject/mesh-config.ts'
import { isNativeByDefault, readNativeMode } from '../../core/inject/native.ts'
import { appendMultusNetwork } from '../../core/inject/networks.ts'
import { otelResourceAttributes } from '../../core/inject/otel.ts'
import {
  defaultProxyConfig,
  mergeProxyConfig,
  printProxyConfig,
  readProxyConfigFields,
} from '../../core/inject/proxy-config.ts'
import { omitNulls } from '../../core/inject/values-layers.ts'
import { readValues } from '../../core/inject/values.ts'
import type { Json, JsonObject } from '../../core/json.ts'
import type { Container, StringMap } from '../../core/k8s.ts'
import { Refusal, type Read } from '../../core/problem.ts'
import { needData, readTable } from './table.ts'

/** One table: its name, and what we answer to one of its rows. `name` or the row itself names the test. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the caller knows its columns
function check<Row>(table: string, answer: (row: Row) => unknown): void {
  t.test(`${table} as recorded`, needData(), async (t) => {
    for (const row of readTable<Row & { readonly name?: string; readonly want: unknown }>(table)) {
      t.strictSame(answer(row), row.want, row.name ?? JSON.stringify(row))
    }
  })
}

function value<T>(read: Read<T>): T {
  if (read.ok) return read.value
  throw new Refusal(read.problems)
}

check('clean-proxy-config', ({ proxyConfig }: { proxyConfig: JsonObject }) => {
  const config = mergeProxyConfig({ fields: {} }, value(readProxyConfigFields('', proxyConfig)))
  return JSON.parse(printProxyConfig(config, defaultProxyConfig('current')))
})

type Image = { hub: string; image: string; tag: string; imageType: string }
check('image-url', (row: Image) => imageUrl(row.hub, row.image, row.tag, row.imageType))

type ProxyImage = {
  hub: string
  tag: string | number
  proxyConfigImageType: string
  annotations: StringMap
}
check('proxy-image', ({ hub, tag, proxyConfigImageType, annotations }: ProxyImage) => {
  const values = value(
    readValues([{ path: 'values', text: JSON.stringify({ global: { hub, tag } }) }], 'current'),
  )
  return proxyImage(values, proxyConfigImageType, annotations)
})

check('exclude-inbound-port', ({ port, excluded }: { port: string | number; excluded: string }) => {
  return excludeInboundPort(String(port), excluded)
})

check('native-sidecar-detect', (row: { mode: string; kubeletVersions: string[] }) => {
  const words: Readonly<Record<string, string>> = { enabled: 'true', disabled: 'false' }
  const nodes = row.kubeletVersions.map((kubeletVersion) => ({ name: '', kubeletVersion }))
  return isNativeByDefault(readNativeMode(words[row.mode] ?? row.mode), nodes, undefined)
})

type Otel = {
  mesh: Json
  annotations: StringMap
  labels: StringMap
  namespace: string
  containers: readonly Container[] | null
}
check('otel-resource-attributes', (row: Otel) => {
  const mesh = readMeshConfig('mesh', JSON.stringify(row.mesh), defaultMeshConfig('current'))
  const { annotations, labels, namespace, containers } = row
  return otelResourceAttributes(value(mesh), annotations, labels, namespace, containers ?? [])
})

for (const table of ['multus', 'multus-generated']) {
  check(table, (row: { in: string; network: string }) => appendMultusNetwork(row.in, row.network))
}

check('omit-nil', (row: { in: Json }) => omitNulls(row.in) ?? null)
