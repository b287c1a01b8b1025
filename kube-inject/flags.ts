/** Flags that several subcommands have: what they are called, say and take. Wrong values are thrown as commander wants them. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { ISTIO_VERSIONS } from '../core/inject/values.ts'
import type { StringMap } from '../core/k8s.ts'
import { formatProblem } from '../core/problem.ts'
import { readWorkload } from './pod-template-path.ts'
import type { Workload } from './workloads.ts'

/** The flags of one value that say what to inject with, for whom, and where that stands in a cluster. */
type FlagName = keyof typeof FLAGS

/** Their spelling and what they say, unless a subcommand means something else by them. */
const FLAGS = {
  meshConfigFile: ['--meshConfigFile <file>', 'mesh configuration, over the built-in defaults'],
  valuesFile: ['--valuesFile <file>', 'Helm values of Istio, over the built-in defaults'],
  injectConfigFile: [
    '--injectConfigFile <file>',
    'injector configuration, over the built-in defaults',
  ],
  revision: ['-r, --revision <name>', 'revision of the control plane'],
  namespace: ['-n, --namespace <name>', 'namespace of objects that do not say'],
  kubeconfig: [
    '--kubeconfig <file>',
    'read what no file gives from the ConfigMaps of this cluster',
  ],
  context: ['--context <name>', 'the same, from the cluster of this context of the kubeconfig'],
  meshConfigMapName: ['--meshConfigMapName <name>', 'mesh from this ConfigMap (istio[-revision])'],
  injectConfigMapName: [
    '--injectConfigMapName <name>',
    'the rest from this one (istio-sidecar-injector[-revision])',
  ],
  istioNamespace: ['-i, --istioNamespace <name>', 'namespace of the ConfigMaps (istio-system)'],
  istioVersion: ['--istio-version <version>', 'built-in templates, values and mesh defaults'],
} as const

/** The files of a configuration. */
export const CONFIG_FILES = ['meshConfigFile', 'valuesFile', 'injectConfigFile'] as const

/** Which cluster, and its ConfigMaps. */
export const CLUSTER = [
  'kubeconfig',
  'context',
  'meshConfigMapName',
  'injectConfigMapName',
] as const

/** Declares flags in this order; `words` are what a subcommand says of them itself. */
export function addFlags(
  command: Command,
  names: readonly FlagName[],
  words: Readonly<Partial<Record<FlagName, string>>> = {},
): Command {
  for (const name of names) command.addOption(flag(name, words[name]))
  return command
}

/** One of them. */
export function flag(name: FlagName, words?: string): Option {
  const [spelling, says] = FLAGS[name]
  const option = new Option(spelling, words ?? says)
  if (name === 'revision') return option.default('')
  return name === 'istioVersion' ? option.choices(ISTIO_VERSIONS).default('current') : option
}

/** `--filename`: `-` is standard input, which can be read once. */
export function filenameFlag(says = 'manifests to read, YAML or JSON'): Option {
  return new Option(
    '-f, --filename <file|folder|pattern|url|->',
    `${says}; \`-\` is standard input; may be repeated`,
  ).argParser(readName)
}

function readName(name: string, before: readonly string[] = []): readonly string[] {
  if (name === '-' && before.includes('-')) {
    throw new InvalidArgumentError('standard input can be read only once')
  }
  return [...before, name]
}

/** `--pod-template-path`: one more kind each time; `verb` is what is done to its objects. */
export function podTemplatePathFlag(verb: string): Option {
  return new Option(
    '--pod-template-path <kind=path>',
    `${verb} this kind too, as in Rollout.argoproj.io=/spec/template; may be repeated`,
  )
    .argParser(readWorkloads)
    .default([])
}

function readWorkloads(text: string, before: readonly Workload[]): readonly Workload[] {
  const read = readWorkload(text)
  if (!read.ok) throw new InvalidArgumentError(read.problems.map(formatProblem).join('; '))
  return [...before, ...read.value]
}

/** `--namespace-labels`: `key=text`, comma separated; empty text is none. */
export function namespaceLabelsFlag(says: string): Option {
  return new Option('--namespace-labels <key=text,...>', says).argParser(readLabels)
}

function readLabels(text: string): StringMap {
  const labels: Record<string, string> = {}
  for (const pair of text === '' ? [] : text.split(',')) {
    const [, key, value] = /^([^=\s]+)=([^=\s]*)$/.exec(pair) ?? []
    if (key === undefined || value === undefined) {
      throw new InvalidArgumentError(`got ${JSON.stringify(pair)}, want key=text`)
    }
    labels[key] = value
  }
  return labels
}
