/** Volumes and mounts that users write into annotations, as the API server will judge them. */
import { isArray, isObject, own, type Json, type JsonObject } from '../json.ts'
import type { Problem } from '../problem.ts'
import { ALTERNATIVES } from './merge-keys.ts'
import { pointer } from './pod-shape.ts'
import { readQuantity } from './quantity.ts'

/** Everything that is wrong with a volume of this name and source. */
export function checkUserVolume(
  path: string,
  name: string,
  source: JsonObject,
): readonly Problem[] {
  const kinds = Object.keys(source).filter((kind) => ALTERNATIVES.get('Volume')?.has(kind))
  const problems = [...checkName(path, name)]
  if (kinds.length > 1) problems.push({ path, got: kinds.join(', '), want: 'one kind of volume' })
  for (const kind of kinds) {
    const given = own(source, kind)
    const at = `${path}/${kind}`
    if (!isObject(given)) continue
    for (const member of NEEDED[kind] ?? []) {
      const text = own(given, member) ?? ''
      if (text !== '') continue
      problems.push({ path: `${at}/${member}`, got: '', want: 'a text that is not empty' })
    }
    problems.push(...checkMembers(at, given))
  }
  return problems
}

/** Everything that is wrong with the mount of a volume. */
export function checkUserMount(path: string, mount: JsonObject): readonly Problem[] {
  const problems: Problem[] = []
  const add = (member: string, want: string): void => {
    const got = own(mount, member) ?? ''
    problems.push({ path: `${path}/${member}`, got: textOf(got), want })
  }
  const text = (member: string): string => {
    const value = own(mount, member)
    return typeof value === 'string' ? value : ''
  }
  problems.push(...checkName(path, text('name')))
  if (text('mountPath') === '') add('mountPath', 'the path where the proxy sees the volume')
  for (const member of ['subPath', 'subPathExpr']) {
    if (!isBelow(text(member))) add(member, BELOW)
  }
  if (text('subPath') !== '' && text('subPathExpr') !== '') {
    add('subPathExpr', 'nothing beside subPath')
  }
  if (!PROPAGATIONS.includes(text('mountPropagation'))) {
    add('mountPropagation', 'None or HostToContainer')
  }
  const recursive = text('recursiveReadOnly')
  const isDeep = recursive === 'Enabled' || recursive === 'IfPossible'
  if (!isDeep && recursive !== '' && recursive !== 'Disabled') {
    add('recursiveReadOnly', 'Disabled, IfPossible or Enabled')
  }
  if (
    isDeep &&
    (own(mount, 'readOnly') !== true || text('mountPropagation') === 'HostToContainer')
  ) {
    add('recursiveReadOnly', 'readOnly true and no mountPropagation beside it')
  }
  return problems
}

/** Bidirectional is for privileged containers, which the proxy is not. */
const PROPAGATIONS = ['', 'None', 'HostToContainer']
const BELOW = 'a path below the volume, relative and without ".."'

/** Texts without which the API server takes no volume of a kind. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  awsElasticBlockStore: ['volumeID'],
  azureDisk: ['diskName', 'diskURI'],
  azureFile: ['secretName', 'shareName'],
  cinder: ['volumeID'],
  configMap: ['name'],
  csi: ['driver'],
  flexVolume: ['driver'],
  gcePersistentDisk: ['pdName'],
  gitRepo: ['repository'],
  glusterfs: ['endpoints', 'path'],
  hostPath: ['path'],
  image: ['reference'],
  iscsi: ['targetPortal', 'iqn'],
  nfs: ['server', 'path'],
  persistentVolumeClaim: ['claimName'],
  portworxVolume: ['volumeID'],
  rbd: ['image'],
  secret: ['secretName'],
  vsphereVolume: ['volumePath'],
}

const HOST_PATH_TYPES = [
  ...['', 'DirectoryOrCreate', 'Directory', 'FileOrCreate', 'File'],
  ...['Socket', 'CharDevice', 'BlockDevice'],
]

/** What one kind of volume has in common with others. */
function checkMembers(path: string, given: JsonObject): readonly Problem[] {
  const problems: Problem[] = []
  const refuse = (member: string, value: Json, want: string): void => {
    problems.push({ path: path + member, got: textOf(value), want })
  }
  const { defaultMode, sizeLimit, items } = given
  if (typeof defaultMode === 'number' && (defaultMode < 0 || defaultMode > LARGEST_MODE)) {
    refuse('/defaultMode', defaultMode, MODE)
  }
  if (typeof sizeLimit === 'string') {
    const size = readQuantity('', sizeLimit)
    if (size.ok && size.value.digits < 0n) refuse('/sizeLimit', sizeLimit, 'a size, not negative')
  }
  if (path.endsWith('/hostPath')) {
    const hostPath = given['path'] ?? ''
    if (hostPath !== '' && textOf(hostPath).split('/').includes('..')) {
      refuse('/path', hostPath, 'a path without ".."')
    }
    const type = given['type'] ?? ''
    if (!HOST_PATH_TYPES.includes(textOf(type))) {
      refuse('/type', type, HOST_PATH_TYPES.filter((word) => word !== '').join(', '))
    }
  }
  if (isArray(items)) {
    for (const [index, item] of items.entries()) {
      if (!isObject(item)) continue
      const file = item['path'] ?? ''
      // One that begins with a slash passes, as in Istio; the API server refuses it with its own words.
      const isOut = textOf(file).split('/').includes('..')
      if (file === '' || isOut) refuse(`/items/${index}/path`, file, BELOW)
      const isKeyed = path.endsWith('/configMap') || path.endsWith('/secret')
      if (isKeyed && (item['key'] ?? '') === '') refuse(`/items/${index}/key`, '', 'a key')
      const { mode } = item
      if (typeof mode === 'number' && (mode < 0 || mode > LARGEST_MODE)) {
        refuse(`/items/${index}/mode`, mode, MODE)
      }
    }
  }
  return problems
}

const LARGEST_MODE = 0o777
const MODE = 'a file mode from 0 to 511, which is 0777 in octal'

function checkName(path: string, name: string): readonly Problem[] {
  if (/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) return []
  const want = 'a name of lower-case letters, digits and "-", at most 63, "-" at neither end'
  return [{ path: path.slice(0, path.lastIndexOf('/')) + pointer(name), got: name, want }]
}

function isBelow(path: string): boolean {
  return !path.startsWith('/') && !path.split('/').includes('..')
}

function textOf(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
