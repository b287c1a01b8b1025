/** A second patcher, which does as istiod does: read all, write whole objects, again and again. */
import { makeThrowaway } from '../../webhook/tls/authority.ts'
import { REGISTRATIONS } from '../../cluster/registrations.ts'
import { isObject } from '../../core/json.ts'
import type { ControlPlane } from './control-plane.ts'
import { at, listAt, textAt } from './objects.ts'

/** The patcher under way. */
export type Istiod = {
  /** What it writes. */
  readonly bundle: string
  /** Objects that it wrote so far. */
  readonly writes: () => number
  readonly stop: () => Promise<void>
}

const { ca: usual } = await makeThrowaway(['istiod'], new Date())

/** Starts it: every entry ending in its suffix, in every configuration with its label, gets this bundle, PEM. */
export function startIstiod({ request }: ControlPlane, bundle = usual): Istiod {
  const caBundle = Buffer.from(bundle).toString('base64')
  let writes = 0
  let isOver = false
  const pass = async (): Promise<void> => {
    const { body } = await request('GET', REGISTRATIONS)
    for (const item of listAt(body, 'items')) {
      if (at(item, 'metadata', 'labels', 'istio.io/rev') !== 'default' || !isObject(item)) continue
      const webhooks = listAt(item, 'webhooks').map((webhook) => {
        if (!textAt(webhook, 'name').endsWith('sidecar-injector.istio.io')) return webhook
        if (!isObject(webhook) || !isObject(webhook['clientConfig'])) return webhook
        return { ...webhook, clientConfig: { ...webhook['clientConfig'], caBundle } }
      })
      const changed = { ...item, webhooks }
      if (JSON.stringify(changed) === JSON.stringify(item)) continue
      // With the version that was read: a conflict is tried again, as there.
      const path = `${REGISTRATIONS}/${textAt(item, 'metadata', 'name')}`
      if ((await request('PUT', path, changed)).status === 200) writes++
    }
  }
  const run = async (): Promise<void> => {
    while (!isOver) {
      await pass()
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  const running = run().catch(() => undefined)
  return {
    bundle,
    writes: () => writes,
    stop: async () => {
      isOver = true
      await running
    },
  }
}
