/** Where a kind of node keeps its CNI files. Paths of the host. */
export type Platform = {
  readonly name: PlatformName
  readonly binDir: string
  readonly netDir: string
  /** False: Multus calls us by a file of our own; no list is joined. */
  readonly isChained: boolean
  /** What tells such a node from others: a directory of the host, where one does. */
  readonly mark?: string
  readonly note: string
}

export type PlatformName = keyof typeof ROWS

const DEFAULT = { binDir: '/opt/cni/bin', netDir: '/etc/cni/net.d', isChained: true } as const
const K3S_NET = '/var/lib/rancher/k3s/agent/etc/cni/net.d'
const MICROK8S = '/var/snap/microk8s/current'

const ROWS = {
  openshift: {
    binDir: '/var/lib/cni/bin',
    netDir: '/etc/cni/multus/net.d',
    isChained: false,
    mark: '/etc/cni/multus/net.d',
    note: 'Multus calls us by a NetworkAttachmentDefinition; needs POD_SOURCE=api or auto',
  },
  microk8s: {
    binDir: `${MICROK8S}/opt/cni/bin`,
    netDir: `${MICROK8S}/args/cni-network`,
    isChained: true,
    mark: `${MICROK8S}/args/cni-network`,
    note: '',
  },
  k3s: {
    binDir: '/var/lib/rancher/k3s/data/cni',
    netDir: K3S_NET,
    isChained: true,
    mark: '/var/lib/rancher/k3s/data/cni',
    note: 'older k3s keeps its plugins in /var/lib/rancher/k3s/data/current/bin',
  },
  k3d: {
    binDir: '/bin',
    netDir: K3S_NET,
    isChained: true,
    mark: K3S_NET,
    note: 'k3s in a container',
  },
  gke: {
    ...DEFAULT,
    binDir: '/home/kubernetes/bin',
    mark: '/home/kubernetes/bin',
    note: '/opt/cni/bin is read-only there; needs a ResourceQuota for its priority class',
  },
  minikube: { ...DEFAULT, note: 'the same directories as default' },
  default: {
    ...DEFAULT,
    note: 'also EKS, AKS, kind and kubeadm; Cilium needs cni.exclusive=false',
  },
} as const satisfies Record<string, Omit<Platform, 'name'>>

/** Every platform, those with a mark first and the narrowest of them first. */
export const PLATFORMS: readonly Platform[] = namesOf(ROWS).map((name) => ({ name, ...ROWS[name] }))

/** The names that `CNI_PLATFORM` takes. */
export const PLATFORM_NAMES: readonly PlatformName[] = namesOf(ROWS)

/** The platform of this name. */
export function platformOf(name: PlatformName): Platform {
  return { name, ...ROWS[name] }
}

function namesOf<T extends object>(rows: T): readonly (keyof T & string)[] {
  const names: (keyof T & string)[] = []
  for (const name in rows) names.push(name)
  return names
}
