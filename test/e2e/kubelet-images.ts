/** The images that an injected pod of a test asks for. */
import { execa } from 'execa'
import { join } from 'node:path'
import { bundle, BUNDLES } from '../../scripts/bundle.mjs'
import type { Image } from './runtime-image.ts'

/** Stands for the proxy's image: takes the arguments that the template gives to the proxy. */
export const PROXY_IMAGE = 'images.test/proxy:1'
/** The image with our own istio-iptables. */
export const IPTABLES_IMAGE = 'images.test/istio-iptables:1'

const root = join(import.meta.dirname, '../..')

/** Our istio-iptables, bundled into `folder`, with the Node that runs this test and the libraries that it needs. */
export async function iptablesImage(folder: string): Promise<Image> {
  const [[entry, , lazy]] = BUNDLES
  await bundle(root, entry, join(folder, 'istio-iptables.cjs'), lazy)
  const program = ['istio-iptables.cjs', ...lazy.map((name) => `lazy/${name}.cjs`)]
  const libraries = await librariesOf(process.execPath)
  return {
    name: IPTABLES_IMAGE,
    files: {
      '/usr/bin/node': process.execPath,
      ...Object.fromEntries(program.map((file) => [`/opt/${file}`, join(folder, file)])),
      ...Object.fromEntries(libraries.map((file) => [file, file])),
    },
    entrypoint: ['/usr/bin/node', '/opt/istio-iptables.cjs'],
  }
}

/** Paths of the shared libraries that a program loads, its loader among them. */
async function librariesOf(program: string): Promise<readonly string[]> {
  const { stdout } = await execa('ldd', [program])
  return stdout.split('\n').flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? [])
}
