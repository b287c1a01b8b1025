/** What a template may bring into a pod: the declaration beside it, read and checked. */
import { isArray, isObject, type Json, type JsonObject } from '../json.ts'
import { good, type Problem, type Read } from '../problem.ts'

/** What a container may have beyond image, command, environment and probes. */
export type Allowance = {
  /** `privileged`, host processes on Windows, and a `/proc` that is not masked. */
  readonly privileged: boolean
  readonly capabilities: ReadonlySet<string>
  /** Ports of the node. */
  readonly hostPorts: boolean
  /** Names of volumes that it may mount. */
  readonly mounts: ReadonlySet<string>
  /** Also those of the annotation `sidecar.istio.io/userVolumeMount`. */
  readonly userVolumes: boolean
}

/** What the pod's own containers may get. */
export type Touch = Allowance & {
  readonly env: ReadonlySet<string>
  /** Other fields of a container, such as `resources`. */
  readonly fields: ReadonlySet<string>
}

/** Everything that one template may bring. */
export type Declaration = {
  readonly containers: ReadonlyMap<string, Allowance>
  readonly initContainers: ReadonlyMap<string, Allowance>
  readonly volumes: ReadonlySet<string>
  /** Volumes among all that may be a path of the node; `*` for any. */
  readonly hostPaths: ReadonlySet<string>
  /** Fields of `spec`, such as `securityContext` or `hostNetwork`. */
  readonly podFields: ReadonlySet<string>
  readonly podContainers: Touch
}

/** What a container may have that nobody said anything about. */
export const NOTHING: Touch = {
  privileged: false,
  capabilities: new Set(),
  hostPorts: false,
  mounts: new Set(),
  userVolumes: false,
  env: new Set(),
  fields: new Set(),
}

/** What several templates may bring together. */
export function together(declarations: readonly Declaration[]): Declaration {
  const [only] = declarations
  if (only !== undefined && declarations.length === 1) return only
  const union = <T>(sets: readonly ReadonlySet<T>[]): ReadonlySet<T> => {
    return new Set(sets.flatMap((set) => [...set]))
  }
  const touch = (parts: readonly Touch[]): Touch => ({
    privileged: parts.some(({ privileged }) => privileged),
    capabilities: union(parts.map(({ capabilities }) => capabilities)),
    hostPorts: parts.some(({ hostPorts }) => hostPorts),
    mounts: union(parts.map(({ mounts }) => mounts)),
    userVolumes: parts.some(({ userVolumes }) => userVolumes),
    env: union(parts.map(({ env }) => env)),
    fields: union(parts.map(({ fields }) => fields)),
  })
  const named = (
    maps: readonly ReadonlyMap<string, Allowance>[],
  ): ReadonlyMap<string, Allowance> => {
    const names = new Set(maps.flatMap((map) => [...map.keys()]))
    const parts = (name: string): readonly Touch[] =>
      maps.flatMap((map) => map.get(name) ?? []).map((part) => ({ ...NOTHING, ...part }))
    return new Map([...names].map((name) => [name, touch(parts(name))]))
  }
  return {
    containers: named(declarations.map(({ containers }) => containers)),
    initContainers: named(declarations.map(({ initContainers }) => initContainers)),
    volumes: union(declarations.map(({ volumes }) => volumes)),
    hostPaths: union(declarations.map(({ hostPaths }) => hostPaths)),
    podFields: union(declarations.map(({ podFields }) => podFields)),
    podContainers: touch(declarations.map(({ podContainers }) => podContainers)),
  }
}

/** Reads a declaration; unknown keys are refused, so that a slip does not stay unseen. */
export function readDeclaration(path: string, value: Json): Read<Declaration> {
  const problems: Problem[] = []
  const place = new Place(path, value, problems)
  const declaration = {
    containers: place.containers('containers'),
    initContainers: place.containers('initContainers'),
    volumes: place.names('volumes'),
    hostPaths: place.names('hostPaths'),
    podFields: place.names('podFields'),
    podContainers: place.below('podContainers', readTouch) ?? NOTHING,
  }
  place.refuseOthers()
  return problems.length === 0 ? good(declaration) : { ok: false, problems }
}

function readTouch(place: Place): Touch {
  return { ...readAllowance(place), env: place.names('env'), fields: place.names('fields') }
}

function readAllowance(place: Place): Allowance {
  return {
    privileged: place.flag('privileged'),
    capabilities: place.names('capabilities'),
    hostPorts: place.flag('hostPorts'),
    mounts: place.names('mounts'),
    userVolumes: place.flag('userVolumes'),
  }
}

/** One map of a declaration; it remembers which keys were asked for. */
class Place {
  readonly #path: string
  readonly #map: JsonObject
  readonly #problems: Problem[]
  readonly #known = new Set<string>()

  constructor(path: string, value: Json, problems: Problem[]) {
    this.#path = path
    this.#problems = problems
    this.#map = isObject(value) ? value : {}
    if (!isObject(value) && value !== null) this.#refuse(value, 'a map')
  }

  names(key: string): ReadonlySet<string> {
    const value = this.#get(key)
    if (isArray(value) && value.every((item) => typeof item === 'string')) return new Set(value)
    if (value !== null) this.#refuse(value, 'a list of names', key)
    return new Set()
  }

  flag(key: string): boolean {
    const value = this.#get(key)
    if (value !== null && typeof value !== 'boolean') this.#refuse(value, 'true or false', key)
    return value === true
  }

  below<T>(key: string, read: (place: Place) => T): T | undefined {
    const value = this.#get(key)
    if (value === null) return undefined
    const place = new Place(`${this.#path}.${key}`, value, this.#problems)
    const part = read(place)
    place.refuseOthers()
    return part
  }

  containers(key: string): ReadonlyMap<string, Allowance> {
    const all = this.below(key, (place) =>
      Object.keys(place.#map).map((name): readonly [string, Allowance] => {
        return [name, place.below(name, readAllowance) ?? NOTHING]
      }),
    )
    return new Map(all)
  }

  refuseOthers(): void {
    for (const [key, value = null] of Object.entries(this.#map)) {
      if (this.#known.has(key)) continue
      this.#refuse(value, `one of ${[...this.#known].join(', ')}`, key)
    }
  }

  #get(key: string): Json {
    this.#known.add(key)
    return (Object.hasOwn(this.#map, key) ? this.#map[key] : undefined) ?? null
  }

  #refuse(value: Json, want: string, key?: string): void {
    const path = key === undefined ? this.#path : `${this.#path}.${key}`
    this.#problems.push({ path, got: JSON.stringify(value), want })
  }
}
