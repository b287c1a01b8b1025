/** The guide for pipelines: every command in it runs, with the tools that it names, and does what the page says. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { isArray, isObject, type Json } from '../../core/json.ts'
import { parseDocuments, readYaml } from '../../core/yaml.ts'
import { startControlPlane, toolsUnavailable, type ControlPlane } from '../e2e/control-plane.ts'
import { at, listAt, textAt } from '../e2e/objects.ts'
import { makeProject, type Done } from '../e2e/shell.ts'
import { need } from '../require.ts'
import { blocksOf } from './page.ts'

const root = join(import.meta.dirname, '../..')
const TOOLS = ['etcd', 'kube-apiserver', 'kubectl', 'helm', 'kustomize']

t.test('the guide for pipelines', need(toolsUnavailable(TOOLS)), async (t) => {
  const controlPlane = await startControlPlane({ controllers: [] })
  t.teardown(() => controlPlane.stop())
  const { folder, run } = await makeProject(
    controlPlane.processes.folder,
    controlPlane.kubeconfigPath,
  )
  await run('kubectl create namespace shop')

  let commands = 0
  for (const block of blocksOf(join(root, 'docs/guides/ci.md'))) {
    await t.test(`line ${block.line}: ${block.info}`, async (t) => {
      if (block.info === 'yaml') {
        await writeNamed(folder, block.text)
        for (const line of recipeLines(block.text)) {
          t.match(await run(line), { status: 0 }, line)
          commands++
        }
        return
      }
      t.equal(block.info, 'sh')
      for (const command of commandsOf(block.text)) {
        const done = await (command.startsWith('helm ')
          ? endingHooks(controlPlane, () => run(command))
          : run(command))
        t.equal(done.status, 0, `${command}\n${done.says}`)
        commands++
        await Promise.all(
          effects
            .filter(({ after }) => after.test(command))
            .map(({ look }) => look(t, { done, folder, controlPlane, run })),
        )
      }
    })
  }
  t.ok(commands >= 18, `${commands} commands were run`)

  await t.test('the preview of the guide for upgrades', async (t) => {
    await run('git checkout --quiet --force HEAD')
    const file = join(root, 'test/fixtures/configmaps/istio-current.yaml')
    const { status, says } = await run(
      `kubectl create namespace istio-system; kubectl apply -f ${file}`,
    )
    t.equal(status, 0, says)
    const guide = await readFile(join(root, 'docs/guides/upgrading.md'), 'utf8')
    const [, section = ''] = /^## Preview\n([^]*?)(?:^## |$(?![^]))/m.exec(guide) ?? []
    const scripts = [...section.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, script = '']) => script)
    t.equal(scripts.length, 3)
    const printed = await Promise.all(scripts.flatMap(commandsOf).map((command) => run(command)))
    t.strictSame(
      printed.map(({ status }) => status),
      printed.map(() => 0),
      printed.map(({ says }) => says).join(''),
    )
    const [, shown] = /\n\n```\n([^]*?)^```$/m.exec(section) ?? []
    t.equal(printed[0]?.out, shown, 'the page shows what is printed')
    const wanted = 'image: example.com/istio/proxyv2:1.30.4'
    t.match(await readFile(join(folder, 'preview.diff'), 'utf8'), wanted)
    const preview = JSON.parse(await readFile(join(folder, 'preview.json'), 'utf8'))
    t.match(preview.summary, { changes: 1 })
  })
})

type Scene = {
  readonly done: Done
  readonly folder: string
  readonly controlPlane: ControlPlane
  readonly run: (text: string) => Promise<Done>
}

/** What has to be true after a command that matches. */
const effects: readonly {
  readonly after: RegExp
  readonly look: (t: Test, scene: Scene) => Promise<void>
}[] = [
  {
    after: /^git commit/,
    look: async (t, { run }) => {
      const { out } = await run('git diff --unified=99 HEAD~ -- deploy/web.yaml')
      t.match(out, /^\+ +image: example\.com\/istio\/proxyv2:1\.30\.3$/m)
      t.match(out, /^ .*# pinned by the platform team$/m, 'comments are there')
      const gone = out.match(/^-(?!--).*$/gm)
      const wanted = ['-      labels: {app: web}', '-          httpGet: {path: /ready, port: 8080}']
      t.strictSame(gone, wanted, 'two lines gave way')
    },
  },
  {
    after: /--report json/,
    look: async (t, { folder }) => {
      const report = JSON.parse(await readFile(join(folder, 'report.json'), 'utf8'))
      t.match(report, [{ changed: false, objects: [{ name: 'shop/web', decision: 'inject' }] }])
    },
  },
  {
    after: /--output sarif/,
    look: async (t, { folder }) => {
      const { version } = JSON.parse(await readFile(join(folder, 'check.sarif'), 'utf8'))
      t.equal(version, '2.1.0')
    },
  },
  {
    after: /--diff/,
    look: async (t, { done }) => {
      t.equal(done.out, '')
    },
  },
  {
    after: /^sidecar-injector kube-inject -f deploy\/.* \| kubectl apply/,
    look: async (t, { controlPlane }) => {
      const path = '/apis/apps/v1/namespaces/shop/deployments/web'
      const { body } = await controlPlane.request('GET', path)
      t.ok(hasProxy(at(body, 'spec', 'template')))
    },
  },
  {
    after: /^chmod \+x .git\/hooks\/pre-commit/,
    look: async (t, { run, folder }) => {
      const file = join(folder, 'values.yaml')
      const text = await readFile(file, 'utf8')
      await writeFile(file, text.replace('1.30.3', '1.30.4'))
      const refused = await run('git commit --all --message new')
      t.equal(refused.status, 1)
      t.match(refused.says, /deploy\/web\.yaml:1: document 1: got "no sidecar, or another one"/)
      await writeFile(file, `${text}# checked\n`)
      t.equal((await run('git commit --all --message same')).status, 0)
    },
  },
  {
    after: /^kubectl inject .* > web/,
    look: async (t, { folder }) => {
      t.match(await readFile(join(folder, 'web.injected.yaml'), 'utf8'), 'istio-proxy')
    },
  },
  {
    after: /--dry-run=server/,
    look: async (t, { done }) => {
      t.match(done.out, /deployment\.apps\/web .*\(server dry run\)/)
    },
  },
  {
    after: /^helm (install|upgrade)/,
    look: async (t, { controlPlane, done }) => {
      t.match(done.out, /^STATUS: deployed$/m)
      t.match(done.out, 'The shop answers at http://shop.shop', 'the notes of the chart')
      const path = '/apis/apps/v1/namespaces/shop/deployments/shop'
      const { body } = await controlPlane.request('GET', path)
      t.ok(hasProxy(at(body, 'spec', 'template')))
      t.match(
        JSON.stringify(body),
        'kubernetes://apis/apps/v1/namespaces/shop/deployments/shop',
        'the namespace was said',
      )
    },
  },
  {
    after: /^helm template/,
    look: async (t, { folder }) => {
      const objects = objectsIn(await readFile(join(folder, 'shop.yaml'), 'utf8'))
      const injected = objects.filter((object) => JSON.stringify(object).includes('istio-proxy'))
      t.strictSame(
        [objects.length, injected.map((object) => textAt(object, 'kind'))],
        [4, ['Deployment']],
        'hooks are in the stream, and stay without a sidecar',
      )
    },
  },
  {
    after: /^kustomize build/,
    look: async (t, { folder }) => {
      const text = await readFile(join(folder, 'overlay.yaml'), 'utf8')
      t.match(text, 'image: example.com/istio/proxyv2:1.30.3')
    },
  },
  {
    after: /^kubectl kustomize/,
    look: async (t, { run }) => {
      const { status, says } = await run('kubectl kustomize overlay')
      t.not(status, 0, 'kubectl refuses functions')
      t.match(says, /plugin/)
      t.match((await run('kubectl kustomize --help')).out, /^((?!enable-exec)[^])*$/)
    },
  },
]

/** The commands of a block: a line each, those that end in a backslash with the next. */
function commandsOf(text: string): readonly string[] {
  return text.trimEnd().split(/(?<!\\)\n/)
}

/** Writes a file whose name stands in the first line of its text. */
async function writeNamed(folder: string, text: string): Promise<void> {
  const name = /^# (\S+)\n/.exec(text)?.[1]
  if (name === undefined) throw new Error(`no name in the first line of:\n${text}`)
  await mkdir(dirname(join(folder, name)), { recursive: true })
  await writeFile(join(folder, name), text)
}

/** What a pipeline or a hook runs; what installs this package is done by the test itself. */
function recipeLines(text: string): readonly string[] {
  const read = readYaml('recipe', text)
  if (!read.ok) throw new Error(`no YAML:\n${text}`)
  const found: string[] = []
  const visit = (value: Json | undefined, key: string): void => {
    if (isArray(value)) for (const item of value) visit(item, key)
    else if (isObject(value)) for (const [name, item] of Object.entries(value)) visit(item, name)
    else if (typeof value === 'string' && LINES.includes(key)) found.push(value)
  }
  visit(read.value, '')
  return found.filter((line) => line !== 'npm install --global sidecar-injector')
}

const LINES = ['run', 'script', 'before_script', 'entry']

/**
 * Ends the Jobs of hooks as the Job controller would while something runs: those without a proxy, which
 * would go on. Helm waits for them.
 */
async function endingHooks<T>(controlPlane: ControlPlane, run: () => Promise<T>): Promise<T> {
  const path = '/apis/batch/v1/namespaces/shop/jobs'
  const now = new Date().toISOString()
  const conditions = ['SuccessCriteriaMet', 'Complete'].map((type) => {
    return { type, status: 'True', lastTransitionTime: now }
  })
  const status = { startTime: now, completionTime: now, succeeded: 1, conditions }
  const endAll = async (): Promise<void> => {
    const { body } = await controlPlane.request('GET', path)
    for (const job of listAt(body, 'items')) {
      if (hasProxy(at(job, 'spec', 'template'))) continue
      const own = `${path}/${textAt(job, 'metadata', 'name')}/status`
      await controlPlane.request('PATCH', own, { status }, 'application/merge-patch+json')
    }
  }
  const timer = setInterval(() => void endAll(), 300)
  try {
    return await run()
  } finally {
    clearInterval(timer)
  }
}

function hasProxy(template: unknown): boolean {
  return listAt(template, 'spec', 'containers').some((one) => textAt(one, 'name') === 'istio-proxy')
}

function objectsIn(text: string): readonly Json[] {
  return [...parseDocuments('text', text)].flatMap((document) => {
    return document.ok && document.value.value !== null ? [document.value.value] : []
  })
}
