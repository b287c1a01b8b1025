/** What cannot be injected stops the tools around us too, with the reason; docs/guides/ci.md has what works. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { need } from '../require.ts'
import { toolsUnavailable } from './control-plane.ts'
import { makeProject } from './shell.ts'

const WRONG = 'traffic.sidecar.istio.io/excludeInboundPorts: http'
const REASON = 'excludeInboundPorts: got "http", want a port from 0 to 65535'

t.test('pipelines', need(toolsUnavailable(['helm', 'kubectl', 'kustomize'])), async (t) => {
  const { folder, run } = await makeProject(t.testdir())
  const edit = async (name: string, from: string, to: string): Promise<void> => {
    const text = await readFile(join(folder, name), 'utf8')
    t.ok(text.includes(from), `${name}: ${from}`)
    await writeFile(join(folder, name), text.replace(from, to))
  }
  const rendered =
    'helm template shop ./shop --post-renderer sidecar-injector --post-renderer-args=kube-inject --post-renderer-args=--filename=-'

  await t.test('helm 3 hands its post-renderer no hooks, as the guide says', async (t) => {
    await edit(
      'shop/templates/migrate.yaml',
      'labels:\n        sidecar.istio.io/inject: "false"',
      'labels: {}',
    )
    const [post, pipe] = [
      await run(rendered),
      await run('helm template shop ./shop | sidecar-injector kube-inject -f -'),
    ]
    t.strictSame([post.status, pipe.status], [0, 0], post.says + pipe.says)
    const proxies = [post.out, pipe.out].map((text) => text.match(/- name: istio-proxy$/gm)?.length)
    t.strictSame(proxies, [1, 2])
    t.match(post.out, '# The shop itself.', 'comments survive helm')
  })

  await t.test('helm: a pod that cannot be injected', async (t) => {
    await edit(
      'shop/templates/deployment.yaml',
      '    metadata:\n',
      `    metadata:\n      annotations: {${WRONG}}\n`,
    )
    const { status, out, says } = await run(rendered)
    t.strictSame({ status, out }, { status: 1, out: '' })
    t.match(says, REASON)
    t.match(says, 'Deployment "shop"')
  })

  await t.test('kustomize: a pod that cannot be injected, among others', async (t) => {
    const overlay = {
      'kustomization.yaml': 'resources: [../base]\ntransformers: [sidecar.yaml]\n',
      'sidecar.yaml': [
        'apiVersion: example.com/v1',
        'kind: Sidecars',
        'metadata:',
        '  name: sidecars',
        '  annotations:',
        '    config.kubernetes.io/function: |',
        '      exec: {path: sidecar-injector, args: [krm-function]}',
        '',
      ].join('\n'),
    }
    await run('mkdir overlay')
    for (const [name, text] of Object.entries(overlay)) {
      await writeFile(join(folder, 'overlay', name), text)
    }
    const build = 'kustomize build --enable-alpha-plugins --enable-exec overlay'
    const good = await run(build)
    t.equal(good.status, 0, good.says)
    t.match(good.out, 'name: istio-proxy', 'any kind may name the function')
    await edit(
      'base/cart.yaml',
      '    metadata:\n',
      `    metadata:\n      annotations: {${WRONG}}\n`,
    )
    const { status, out, says } = await run(build)
    t.strictSame({ status, out }, { status: 1, out: '' })
    t.match(says, REASON)
    t.match(says, 'Deployment "shop/cart"')
    const refused = await run('kustomize build overlay')
    t.not(refused.status, 0, 'without its flags kustomize runs nothing')
  })

  await t.test('kubectl lists the plugin and finds nothing wrong with it', async (t) => {
    const { out, says } = await run('kubectl plugin list')
    t.match(out, /\/kubectl-inject$/m)
    t.notMatch(says, /warning/)
  })
})
