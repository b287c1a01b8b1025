/** Where the CNI files of this node are, told from what lies below the host's root. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { compareBytes } from '../../core/json.ts'
import { PLATFORMS, platformOf, type Platform, type PlatformName } from './platform.ts'
import { readToml, type Toml } from './toml.ts'

/** What was found. Paths of the host. */
export type Detected = {
  readonly platform: PlatformName
  readonly binDir: string
  readonly netDir: string
  readonly isChained: boolean
  /** What told so, for people. */
  readonly from: string
}

/** A runtime's configuration: its main file, the directory of its additions, and where it names the directories. */
type RuntimeFile = {
  readonly path: string
  readonly additions?: string
  readonly binDir: readonly (readonly string[])[]
  readonly netDir: readonly (readonly string[])[]
}

const CONTAINERD = {
  // Versions 3, 2 and 1 of its format; the list is newer than the single directory.
  binDir: [
    ['plugins', 'io.containerd.cri.v1.runtime', 'cni', 'bin_dirs'],
    ['plugins', 'io.containerd.cri.v1.runtime', 'cni', 'bin_dir'],
    ['plugins', 'io.containerd.grpc.v1.cri', 'cni', 'bin_dir'],
    ['plugins', 'cri', 'cni', 'bin_dir'],
  ],
  netDir: [
    ['plugins', 'io.containerd.cri.v1.runtime', 'cni', 'conf_dir'],
    ['plugins', 'io.containerd.grpc.v1.cri', 'cni', 'conf_dir'],
    ['plugins', 'cri', 'cni', 'conf_dir'],
  ],
} as const

const RUNTIME_FILES: readonly RuntimeFile[] = [
  { path: '/var/lib/rancher/k3s/agent/etc/containerd/config.toml', ...CONTAINERD },
  { path: '/var/snap/microk8s/current/args/containerd.toml', ...CONTAINERD },
  {
    path: '/etc/crio/crio.conf',
    additions: '/etc/crio/crio.conf.d',
    binDir: [
      ['crio', 'network', 'plugin_dirs'],
      ['crio', 'network', 'plugin_dir'],
    ],
    netDir: [['crio', 'network', 'network_dir']],
  },
  { path: '/etc/containerd/config.toml', ...CONTAINERD },
]

/** Looks below the root: at what marks a platform, then at what the runtime was told. */
export async function detect(hostRoot: string): Promise<Detected> {
  const platform = await markedPlatform(hostRoot)
  // Multus reads a directory of its own, which the runtime knows nothing of.
  if (!platform.isChained) return told(platform, undefined)
  for (const file of RUNTIME_FILES) {
    const texts = await readRuntimeFile(hostRoot, file)
    const binDir = lastOf(texts, file.binDir)
    const netDir = lastOf(texts, file.netDir)
    if (binDir === undefined && netDir === undefined) continue
    return told(platform, { binDir, netDir, path: file.path })
  }
  return told(platform, undefined)
}

async function markedPlatform(hostRoot: string): Promise<Platform> {
  for (const platform of PLATFORMS) {
    if (platform.mark !== undefined && (await isFolder(join(hostRoot, platform.mark))))
      return platform
  }
  return platformOf('default')
}

function told(
  platform: Platform,
  by: { binDir: string | undefined; netDir: string | undefined; path: string } | undefined,
): Detected {
  const { name, isChained, mark } = platform
  return {
    platform: name,
    binDir: by?.binDir ?? platform.binDir,
    netDir: by?.netDir ?? platform.netDir,
    isChained,
    from: by?.path ?? mark ?? 'nothing below the host’s root: the usual directories',
  }
}

/** The texts of a runtime's files in the order in which later ones win. */
async function readRuntimeFile(hostRoot: string, file: RuntimeFile): Promise<readonly Toml[]> {
  const main = await readOne(join(hostRoot, file.path))
  const imports = main?.texts('imports') ?? []
  const added = file.additions === undefined ? [] : [`${file.additions}/*`]
  const patterns = [...imports, ...added].map((path) => {
    return join(hostRoot, path.startsWith('/') ? path : join(dirname(file.path), path))
  })
  const found = main === undefined ? [] : [main]
  for (const pattern of patterns) {
    for (const path of await expanded(pattern)) {
      const more = await readOne(path)
      if (more !== undefined) found.push(more)
    }
  }
  return found
}

/** The files that a path with a `*` in its last part means, sorted. */
async function expanded(pattern: string): Promise<readonly string[]> {
  const [before, after, ...more] = pattern.split('*')
  if (before === undefined || after === undefined || more.length > 0) return [pattern]
  const folder = before.slice(0, before.lastIndexOf('/'))
  const start = before.slice(folder.length + 1)
  const names = await readdir(folder).catch(() => [])
  const fitting = names.filter((name) => name.startsWith(start) && name.endsWith(after))
  return fitting.sort(compareBytes).map((name) => join(folder, name))
}

/** What stands at the first of the paths that the last file with any of them has: one absolute path. */
function lastOf(files: readonly Toml[], paths: readonly (readonly string[])[]): string | undefined {
  const found = files.flatMap((file) => {
    const text = paths.flatMap((path) => file.texts(...path)).find((text) => text !== '')
    return text === undefined ? [] : [text]
  })
  const last = found.at(-1)
  // A variable that was not replaced, or a relative path, tells nothing.
  return last?.startsWith('/') === true && !last.includes('$') && !last.includes('..')
    ? last.replace(/(?<=.)\/+$/, '')
    : undefined
}

async function readOne(path: string): Promise<Toml | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  return text === undefined ? undefined : readToml(text)
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (at) => at.isDirectory(),
    () => false,
  )
}
