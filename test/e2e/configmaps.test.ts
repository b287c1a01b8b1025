/** kube-inject with the ConfigMaps of an installed Istio, read from a real API server. */
import { execa } from 'execa'
import { join } from 'node:path'
import t from 'tap'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane } from './control-plane.ts'

const root = join(import.meta.dirname, '../..')

t.test('the ConfigMaps of a cluster', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane({ controllers: [] })
  t.teardown(() => controlPlane.stop())
  await controlPlane.kubectl(['create', 'namespace', 'istio-system'])
  for (const [file, version, image] of [
    ['istio-1.17.yaml', '1.17', 'image: example.com/istio/proxyv2:1.17.8'],
    ['istio-current.yaml', 'current', 'image: example.com/istio/proxyv2:1.30.1'],
  ] as const) {
    const fixture = join(root, 'test/fixtures/configmaps', file)
    const applied = await controlPlane.kubectl(['apply', '-f', fixture])
    t.equal(applied.exitCode, 0, applied.stderr)
    const example = join(root, 'examples/nginx-deployment.yaml')
    const flags = ['--kubeconfig', controlPlane.kubeconfigPath, '--istio-version', version]
    const program = [join(root, 'dist/cli/main.js'), 'kube-inject', '-f', example, ...flags]
    const { stdout, stderr, exitCode } = await execa(process.execPath, program, { reject: false })
    t.equal(exitCode, 0, stderr)
    t.ok(stdout.includes(image), `${file}: ${image}`)
    t.ok(stdout.includes('name: istio-proxy'), `${file}: injected`)
    t.match(stderr, /template sidecar: a Go template/, `${file}: the Go template is told`)
  }
})
