/** What the functionConfig of a KRM function asks for: in its `data`, keys named like the flags of kube-inject. */
import { ISTIO_VERSIONS, type IstioVersion } from '../core/inject/values.ts'
import { isObject, type Json } from '../core/json.ts'
import { Refusal, type Problem } from '../core/problem.ts'
import { readConfigs, type ConfigTexts } from './config.ts'
import type { Setting } from './inject-document.ts'
import { readWorkload } from './pod-template-path.ts'
import { settingOf } from './setting.ts'
import type { Workload } from './workloads.ts'

/** Whole files: of today, and what the items were injected with before. */
const TEXTS = { mesh: 'mesh', values: 'values', injectConfig: 'injectConfig' } as const
const TEXTS_BEFORE = {
  mesh: 'previousMesh',
  values: 'previousValues',
  injectConfig: 'previousInjectConfig',
} as const

/** All that the data may hold. */
export const KEYS = [
  ...Object.values(TEXTS),
  ...(['revision', 'namespace', 'istioVersion', 'podTemplatePath', 'uninject'] as const),
  ...Object.values(TEXTS_BEFORE),
  'previousIstioVersion' as const,
]

type Key = (typeof KEYS)[number]

/** What to inject with, and what to say of it to whoever wrote it. */
export type KrmSetting = { readonly setting: Setting; readonly warnings: readonly string[] }

/** Reads the configuration that the functionConfig has. Throws a Refusal. */
export async function readSetting(
  functionConfig: Json | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<KrmSetting> {
  const data = isObject(functionConfig) ? functionConfig['data'] : undefined
  const problems: Problem[] = []
  const said = readData(data, problems)
  const istioVersion = readVersion('istioVersion', said, problems) ?? 'current'
  const before = readVersion('previousIstioVersion', said, problems)
  const workloads = readWorkloads(said, problems)
  const isWayBack = readUninject(said, problems)
  if (problems.length > 0) throw new Refusal(problems)
  const configs = await readConfigs(
    {
      revision: said.revision ?? '',
      istioVersion,
      ...(before === undefined ? {} : { previousIstioVersion: before }),
    },
    environment,
    textsOf(TEXTS, said),
    textsOf(TEXTS_BEFORE, said),
  )
  const asked = { workloads, isWayBack, namespace: said.namespace }
  return {
    setting: settingOf(configs, environment, asked),
    warnings: configs.today.warnings,
  }
}

type Said = Readonly<Partial<Record<Key, string>>>

function readData(data: Json | undefined, problems: Problem[]): Said {
  const said: Partial<Record<Key, string>> = {}
  for (const [name, value] of Object.entries(isObject(data) ? data : {})) {
    const key = KEYS.find((known) => known === name)
    if (key === undefined) {
      problems.push({ path: pathOf(name), got: name, want: `one of ${KEYS.join(', ')}` })
    } else if (typeof value === 'string') said[key] = value
    else problems.push({ path: pathOf(name), got: JSON.stringify(value), want: 'a text' })
  }
  return said
}

function readVersion(
  key: 'istioVersion' | 'previousIstioVersion',
  said: Said,
  problems: Problem[],
): IstioVersion | undefined {
  const got = said[key]
  const value = ISTIO_VERSIONS.find((version) => version === got)
  if (got !== undefined && value === undefined) {
    problems.push({ path: pathOf(key), got, want: `one of ${ISTIO_VERSIONS.join(', ')}` })
  }
  return value
}

/** One kind a line, as `--pod-template-path` takes it. */
function readWorkloads(said: Said, problems: Problem[]): readonly Workload[] {
  const lines = (said.podTemplatePath ?? '').split('\n').map((line) => line.trim())
  return lines.flatMap((line): readonly Workload[] => {
    const read = line === '' ? undefined : readWorkload(line)
    if (read === undefined || read.ok) return read?.value ?? []
    problems.push(...read.problems.map((one) => ({ ...one, path: pathOf('podTemplatePath') })))
    return []
  })
}

function readUninject({ uninject = 'false' }: Said, problems: Problem[]): boolean {
  if (uninject !== 'true' && uninject !== 'false') {
    problems.push({ path: pathOf('uninject'), got: uninject, want: '"true" or "false"' })
  }
  return uninject === 'true'
}

function textsOf(keys: Readonly<Record<keyof typeof TEXTS, Key>>, said: Said): ConfigTexts {
  const { mesh, values, injectConfig } = keys
  const text = (name: keyof typeof TEXTS, key: Key): ConfigTexts => {
    const found = said[key]
    return found === undefined ? {} : { [name]: { path: pathOf(key), text: found } }
  }
  return { ...text('mesh', mesh), ...text('values', values), ...text('injectConfig', injectConfig) }
}

function pathOf(key: string): string {
  return `functionConfig: /data/${key}`
}
