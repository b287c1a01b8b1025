/** Container images made by hand, as `docker save` writes them: one layer of a few files. */
import { execa } from 'execa'
import { createHash } from 'node:crypto'
import { chmod, copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** An image: its full name, what is in it, and the command that runs without arguments of the pod. */
export type Image = {
  readonly name: string
  /** Path in the image -> file of this machine, copied with its mode. */
  readonly files: Readonly<Record<string, string>>
  readonly entrypoint: readonly string[]
}

/** Writes the image's archive into `folder` and gives its path. */
export async function writeImage(folder: string, image: Image): Promise<string> {
  const id = createHash('sha256').update(image.name).digest('hex').slice(0, 12)
  const layer = join(folder, `image-${id}-files`)
  const parts = join(folder, `image-${id}`)
  await mkdir(parts, { recursive: true })
  for (const [path, file] of Object.entries(image.files)) {
    const target = join(layer, path)
    await mkdir(dirname(target), { recursive: true })
    await copyFile(file, target)
    await chmod(target, 0o755)
  }
  await mkdir(join(layer, 'tmp'), { recursive: true })
  await chmod(join(layer, 'tmp'), 0o1777)
  await execa('tar', ['--owner=0', '--group=0', '-C', layer, '-cf', join(parts, 'layer.tar'), '.'])
  const digest = createHash('sha256')
    .update(await readFile(join(parts, 'layer.tar')))
    .digest('hex')
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: {
      Entrypoint: image.entrypoint,
      Env: ['PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin'],
    },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  }
  const manifest = [{ Config: 'config.json', RepoTags: [image.name], Layers: ['layer.tar'] }]
  await writeFile(join(parts, 'config.json'), JSON.stringify(config))
  await writeFile(join(parts, 'manifest.json'), JSON.stringify(manifest))
  const archive = join(folder, `image-${id}.tar`)
  await execa('tar', ['-C', parts, '-cf', archive, 'manifest.json', 'config.json', 'layer.tar'])
  await Promise.all([layer, parts].map((path) => rm(path, { recursive: true })))
  return archive
}
