// Makes one file of a door, so that starting it reads one file: what an init container pays on every pod.
import { dirname, join, resolve } from 'node:path'
import { build } from 'esbuild'

/**
 * Bundles `entry` (a .ts file below `root`) into one CommonJS file, which Node starts sooner than modules.
 * Packages named in `lazy` are imported only when needed; each becomes a file of its own beside it.
 * `import.meta.url` names no real file in the bundle: the entry calls what it wants to run.
 * What `outside` names stays outside, under the name it gives: modules that stand beside the bundle anyway.
 */
export async function bundle(root, entry, outfile, lazy = [], outside = {}) {
  const common = {
    absWorkingDir: root,
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    legalComments: 'linked',
    logLevel: 'warning',
  }
  const beside = {
    ...Object.fromEntries(lazy.map((name) => [name, `./lazy/${name}.cjs`])),
    ...outside,
  }
  await build({
    ...common,
    entryPoints: [entry],
    outfile: resolve(root, outfile),
    define: { 'import.meta.url': '"file:///"', 'import.meta.dirname': '__dirname' },
    banner: { js: '#!/usr/bin/env node' },
    plugins: [
      {
        name: 'lazy',
        setup({ onResolve }) {
          onResolve({ filter: /^[a-z@.]/ }, ({ path }) => {
            return path in beside ? { path: beside[path], external: true } : undefined
          })
        },
      },
      COMMANDER_ALONE,
    ],
  })
  for (const name of lazy) {
    const contents = `export * from '${name}'`
    const stdin = { contents, resolveDir: root }
    await build({ ...common, stdin, outfile: join(dirname(resolve(root, outfile)), beside[name]) })
  }
}

/** Commander loads what starts programs for subcommands that are programs of their own. We have none: it is loaded if asked for. */
const COMMANDER_ALONE = {
  name: 'commander-alone',
  setup({ onResolve, onLoad }) {
    const namespace = 'when-asked-for'
    onResolve({ filter: /^node:child_process$/ }, ({ path, importer }) => {
      return /[/\\]commander[/\\]/.test(importer) ? { path, namespace } : undefined
    })
    onLoad({ filter: /./, namespace }, ({ path }) => {
      const name = JSON.stringify(path)
      return { contents: `module.exports = { get spawn() { return require(${name}).spawn } }` }
    })
  },
}

/** What the program that injects manifests imports from beside it. */
export const OUTSIDE = {
  './main.ts': './main.js',
  '@kubernetes/client-node': '@kubernetes/client-node',
}

/** The bundles of the package, as arguments of `bundle` after its first. */
export const BUNDLES = [
  ['iptables-init/bin.ts', 'dist/istio-iptables.cjs', ['commander', 'execa']],
  ['cli/start.ts', 'dist/cli/program.cjs', [], OUTSIDE],
  ['cli/launch.ts', 'dist/cli/sidecar-injector.cjs', []],
  ['cni-plugin/bin.ts', 'dist/sidecar-cni.cjs', []],
  ['cni-plugin/install/bin.ts', 'dist/install-cni.cjs', []],
]
