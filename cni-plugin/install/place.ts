import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { detect, type Detected } from './detect.ts'
import { platformOf } from './platform.ts'
import type { Settings } from './settings.ts'

/** Where this process finds the node's CNI files. */
export type Place = {
  readonly netDir: string
  readonly binDir: string
  readonly isChained: boolean
  /** What decided, for the log. */
  readonly from: string
}

/** Settings win over the platform, and a platform that was named over what can be seen. */
export async function findPlace(settings: Settings): Promise<Place> {
  const { hostRoot, platform: wanted } = settings
  const found: Detected =
    wanted === 'auto' ? await detect(hostRoot) : { ...named(wanted), from: 'CNI_PLATFORM' }
  return {
    netDir: settings.netDir ?? join(hostRoot, found.netDir),
    binDir: settings.binDir ?? join(hostRoot, found.binDir),
    isChained: settings.isChained ?? found.isChained,
    from: `${found.platform}, told by ${found.from}`,
  }
}

function named(name: Detected['platform']): Omit<Detected, 'from'> {
  const { binDir, netDir, isChained } = platformOf(name)
  return { platform: name, binDir, netDir, isChained }
}

/**
 * Whether the host's programs are linked against musl, as far as its libraries can be seen: our
 * executable needs glibc's loader.
 */
export async function isMuslHost(hostRoot: string): Promise<boolean> {
  const names: string[] = []
  for (const folder of ['lib', 'lib64', 'usr/lib', 'usr/lib64']) {
    names.push(...(await readdir(join(hostRoot, folder)).catch(() => [])))
  }
  const hasGlibc = names.some((name) => /^ld-linux-.+\.so\.\d+$/.test(name))
  return !hasGlibc && names.some((name) => /^ld-musl-.+\.so\.1$/.test(name))
}
