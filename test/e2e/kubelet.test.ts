/** A real kubelet in front of a real container runtime with our plugin; the pods come through our webhook. */
import { join } from 'node:path'
import t from 'tap'
import { executableUnavailable, makePlugin } from '../../scripts/executable.mjs'
import { need } from '../require.ts'
import { controlPlaneUnavailable } from './control-plane.ts'
import { runtimeUnavailable, spawnPrivately } from './runtime-place.ts'

const root = join(import.meta.dirname, '../..')
const unavailable =
  controlPlaneUnavailable() ?? runtimeUnavailable(['kubelet']) ?? executableUnavailable()

t.test('kubelet, containerd and the plugin', need(unavailable), async (t) => {
  const folder = await makePlugin(root)
  await spawnPrivately(t, join(import.meta.dirname, 'kubelet-inside.ts'), {
    SIDECAR_CNI_FOLDER: folder,
  })
})
