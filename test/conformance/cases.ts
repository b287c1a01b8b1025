/** The cases of Istio's own injection suite as they are laid out in the folder. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { InjectConfig } from '../../core/inject/config.ts'
import { layer } from '../../core/inject/values-layers.ts'
import { isObject, type Json, type JsonObject } from '../../core/json.ts'
import type { StringMap } from '../../core/k8s.ts'
import { Refusal } from '../../core/problem.ts'
import { printYaml, readYaml } from '../../core/yaml.ts'
import { configOf } from '../support/config.ts'
import { folder } from './table.ts'

/** One case of the suite. */
export type Case = {
  readonly id: string
  readonly modes: { readonly cli: boolean; readonly webhook: boolean }
  readonly native: boolean
  readonly env?: Readonly<Record<string, string>>
  readonly needs?: readonly string[]
  readonly revision?: string
  readonly namespaces?: Readonly<Record<string, { readonly annotations?: StringMap }>>
  readonly expectError?: { readonly annotation?: string; readonly contains?: string }
}

/** One request to the webhook and what became of its pod. */
export type Recorded = {
  readonly path: string
  readonly review: Json
  readonly expect: { readonly allowed: boolean; readonly patched: boolean }
  readonly pod?: Json
  readonly reinjectEqual?: boolean
}

function yaml(path: string): JsonObject {
  const read = existsSync(path) ? readYaml(path, readFileSync(path, 'utf8')) : undefined
  if (read?.ok === false) throw new Refusal(read.problems)
  return read !== undefined && isObject(read.value) ? read.value : {}
}

/** The configuration of a case: its own files over those that all share. */
export function configFor(dir: string, each: Case): InjectConfig {
  const over = (name: string) =>
    printYaml(layer(yaml(join(folder, 'common', name)), yaml(join(dir, name))))
  return configOf({
    values: over('values.yaml'),
    mesh: over('mesh.yaml'),
    revision: each.revision ?? '',
    compliancePolicy: each.env?.['COMPLIANCE_POLICY'] ?? '',
    platform: each.env?.['PLATFORM'] ?? '',
  })
}
