/** What the repair is told: by environment variables only, beside those of the installer. */
import { join } from 'node:path'
import { VALIDATION_CONTAINER } from '../../core/constants.ts'
import { oneOf } from '../../core/options/values.ts'
import { good, bad, type Problem, type Read } from '../../core/problem.ts'
import type { Setting } from '../install/setting.ts'

/** What is done about a pod that started without rules. */
export type RepairMode = 'off' | 'label' | 'delete' | 'repair'

export type RepairSettings = {
  readonly mode: RepairMode
  /** What tells a pod that started without rules. */
  readonly rule: BrokenRule
  /** The label that the mode `label` sets. */
  readonly label: { readonly key: string; readonly value: string }
  /** Leaves pods out, in the words of the API; empty for none. */
  readonly labelSelector: string
  /** The proc of the node. */
  readonly hostProc: string
}

/** The init container that checks the rules, and how it ends without them. */
export type BrokenRule = {
  readonly container: string
  /** 0 for any. */
  readonly exitCode: number
  /** Empty for any. */
  readonly message: string
}

/** Every setting, in the order of the reference page. */
export const REPAIR_SETTINGS = [
  row('REPAIR_MODE', 'off', 'pods that started without rules: off, label, delete or repair'),
  row(
    'REPAIR_INIT_CONTAINER_NAME',
    VALIDATION_CONTAINER,
    'the init container that checks the rules',
  ),
  row(
    'REPAIR_INIT_CONTAINER_EXIT_CODE',
    '126',
    'exit code by which it says that there are none; 0 for any',
  ),
  row(
    'REPAIR_INIT_CONTAINER_TERMINATION_MESSAGE',
    '',
    'termination message that it must leave; empty for any',
  ),
  row('REPAIR_LABEL_KEY', 'cni.istio.io/uninitialized', 'label that the mode label sets'),
  row('REPAIR_LABEL_VALUE', 'true', 'its value'),
  row('REPAIR_LABEL_SELECTORS', '', 'label selector of the pods that are looked at; empty for all'),
  row(
    'REPAIR_HOST_PROC',
    '',
    'proc of the node, for the mode repair; default proc below HOST_ROOT',
  ),
] as const satisfies readonly Setting[]

type SettingName = (typeof REPAIR_SETTINGS)[number]['env']

/** Reads the environment. An empty variable is none. */
export function readRepairSettings(
  env: Readonly<Record<string, string | undefined>>,
  hostRoot: string,
): Read<RepairSettings> {
  const problems: Problem[] = []
  const text = (name: SettingName): string => {
    const given = env[name]?.trim() ?? ''
    return given === '' ? (REPAIR_SETTINGS.find((one) => one.env === name)?.default ?? '') : given
  }
  const keep = <T>(name: SettingName, read: Reader<T>, otherwise: T): T => {
    const value = read(name, text(name))
    if (value.ok) return value.value
    problems.push(...value.problems)
    return otherwise
  }
  const settings: RepairSettings = {
    mode: keep('REPAIR_MODE', oneOf('off', 'label', 'delete', 'repair'), 'off'),
    rule: {
      container: text('REPAIR_INIT_CONTAINER_NAME'),
      exitCode: keep('REPAIR_INIT_CONTAINER_EXIT_CODE', readExitCode, 0),
      message: text('REPAIR_INIT_CONTAINER_TERMINATION_MESSAGE'),
    },
    label: {
      key: keep('REPAIR_LABEL_KEY', readLabelKey, ''),
      value: keep('REPAIR_LABEL_VALUE', readLabelValue, ''),
    },
    labelSelector: text('REPAIR_LABEL_SELECTORS'),
    hostProc: text('REPAIR_HOST_PROC') || join(hostRoot, 'proc'),
  }
  return problems.length === 0 ? good(settings) : { ok: false, problems }
}

type Reader<T> = (path: string, text: string) => Read<T>

function readExitCode(path: string, text: string): Read<number> {
  const code = /^\d{1,3}$/.test(text) ? Number(text) : 256
  return code <= 255 ? good(code) : bad(path, text, 'an exit code from 0 to 255')
}

const LABEL_PART = '[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?'
const LABEL_KEY = new RegExp(`^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?${LABEL_PART}$`)
const LABEL_VALUE = new RegExp(`^(?:${LABEL_PART})?$`)

function readLabelKey(path: string, text: string): Read<string> {
  return LABEL_KEY.test(text) ? good(text) : bad(path, text, 'a key of a label')
}

function readLabelValue(path: string, text: string): Read<string> {
  return LABEL_VALUE.test(text) ? good(text) : bad(path, text, 'a value of a label')
}

function row<const Env extends string>(
  env: Env,
  byDefault: string,
  help: string,
): Setting & { readonly env: Env } {
  return { env, kind: 'text', default: byDefault, help }
}
