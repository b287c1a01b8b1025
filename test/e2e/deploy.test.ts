/** The manifests of deploy/base, judged by a real API server. */
import { join } from 'node:path'
import t from 'tap'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane } from './control-plane.ts'

const base = join(import.meta.dirname, '../../deploy/base')

t.test('deploy/base', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane({ controllers: [] })
  t.teardown(() => controlPlane.stop())
  await controlPlane.kubectl(['apply', '-f', join(base, 'namespace.yaml')])
  const flags = ['--dry-run=server', '--validate=strict', '-o', 'name']
  const { stdout } = await controlPlane.kubectl(['apply', '-k', base, ...flags])
  t.strictSame(stdout.trim().split('\n').sort(), [
    'deployment.apps/sidecar-injector',
    'mutatingwebhookconfiguration.admissionregistration.k8s.io/sidecar-injector',
    'namespace/sidecar-injector',
    'poddisruptionbudget.policy/sidecar-injector',
    'service/sidecar-injector',
    'serviceaccount/sidecar-injector',
  ])
})
