import { isIP } from 'node:net'
import { join } from 'node:path'
import type { Flag } from '../../core/options/flags.ts'
import { readSwitch, readWords } from '../../core/options/words.ts'
import { bad, good, type Problem, type Read } from '../../core/problem.ts'
import { readRepairSettings } from '../repair/settings.ts'
import { LOG_LEVELS, type LogLevel } from './log.ts'
import { PLATFORM_NAMES, type PlatformName } from './platform.ts'
import {
  flagOf,
  readAttachment,
  readFileName,
  readList,
  readListName,
  readMode,
  readPath,
  readPaths,
  readPort,
  readWord,
} from './setting.ts'
import { SETTINGS, type SettingName } from './table.ts'

/** What the process is asked to do. */
export type Command = 'install' | 'uninstall' | 'detect' | 'help'

/** Everything that the installer is started with. Paths are those of this process unless said otherwise. */
export type Settings = {
  readonly command: Command
  readonly platform: PlatformName | 'auto'
  readonly hostRoot: string
  /** Undefined where the platform says. */
  readonly netDir: string | undefined
  readonly binDir: string | undefined
  readonly confName: string | undefined
  /** Undefined where the platform says. */
  readonly isChained: boolean | undefined
  /** Name of the file of our own that wins over the primary's; undefined to edit the primary's. */
  readonly ownedName: string | undefined
  /** The name that `ownedName` has where it is used: such a file is ours. */
  readonly ownedFileName: string
  readonly pluginName: string
  readonly binarySource: string
  readonly installsBinary: boolean
  readonly installsConfig: boolean
  readonly runDir: string
  readonly podSource: 'annotations' | 'auto' | 'api'
  readonly kubeconfigDir: string
  readonly kubeconfigMode: number
  /** Permissions of configuration files that are ours. */
  readonly confMode: number
  readonly pluginServiceAccount: string
  readonly networkAttachment: { readonly namespace: string; readonly name: string } | undefined
  readonly excludeNamespaces: readonly string[]
  readonly onError: 'fail' | 'warn'
  readonly iptablesMode: 'auto' | 'nft' | 'legacy' | 'native'
  /** Paths of the host. */
  readonly toolDirs: readonly string[]
  readonly ipv6: 'auto' | 'on' | 'off'
  readonly logLevel: LogLevel
  readonly pluginLogLevel: LogLevel
  readonly monitoringPort: number
  readonly healthPort: number
  readonly podNamespace: string | undefined
  readonly nodeName: string | undefined
  readonly daemonSet: string | undefined
  /** Undefined outside a pod, which only the commands that need no cluster may be. */
  readonly server: URL | undefined
  readonly serviceAccountDir: string
  readonly caFile: string
  readonly skipsTlsVerify: boolean
  readonly isDryRun: boolean
  readonly purges: boolean
}

/** What the settings are read from. */
export type Given = {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Directory of this program: the executable to install lies beside it. */
  readonly programDir: string
}

/** Reads command line and environment; all that is wrong is reported together. */
export function readSettings(given: Given): Read<Settings> {
  const words = readWords(FLAGS, given.argv)
  if (!words.ok) return words
  const [word = 'install', ...more] = words.value.rest
  const problems: Problem[] = more.map((got) => {
    return { path: 'command line', got, want: 'one command, and flags' }
  })
  const keep = <T>(read: Read<T>, otherwise: T): T => {
    if (read.ok) return read.value
    problems.push(...read.problems)
    return otherwise
  }
  const isHelp = words.value.given.some(({ flag }) => flag === HELP)
  const command = isHelp ? 'help' : keep(readWord('command line', word, COMMANDS), 'install')
  const said = reader(words.value.given, given.env)
  const text = (name: SettingName): string => said(name).text
  const some = (name: SettingName): string | undefined => text(name) || undefined
  const read = <T>(name: SettingName, by: (path: string, text: string) => Read<T>, or: T): T =>
    keep(by(said(name).path, text(name)), or)
  const isOn = (name: SettingName): boolean => read(name, readSwitch, false)
  const wordOf = <T extends string>(name: SettingName, all: readonly T[], or: T): T =>
    read(name, (path, word) => readWord(path, word, all), or)
  const directory = (name: SettingName, or: string): string =>
    text(name) === '' ? or : read(name, readPath, or)

  const pluginName = read('PLUGIN_NAME', readFileName, 'sidecar-cni')
  const ownedFileName = text('OWNED_CNI_CONFIG_FILENAME') || `02-${pluginName}.conflist`
  const isChained =
    some('CHAINED_CNI_PLUGIN') === undefined ? undefined : isOn('CHAINED_CNI_PLUGIN')
  const isOwned = isOn('OWNED_CNI_CONFIG')
  const logLevel = wordOf('LOG_LEVEL', LOG_LEVELS, 'info')
  const podNamespace = some('POD_NAMESPACE')
  const serviceAccountDir = directory('SERVICE_ACCOUNT_DIR', ACCOUNT_DIR)
  const settings: Settings = {
    command,
    platform: wordOf('CNI_PLATFORM', ['auto', ...PLATFORM_NAMES], 'auto'),
    hostRoot: directory('HOST_ROOT', '/host'),
    netDir: directory('MOUNTED_CNI_NET_DIR', '') || undefined,
    binDir: directory('HOST_CNI_BIN_DIR', '') || undefined,
    confName: text('CNI_CONF_NAME') === '' ? undefined : read('CNI_CONF_NAME', readFileName, ''),
    isChained,
    ownedName: isOwned ? ownedFileName : undefined,
    ownedFileName: keep(readListName(said('OWNED_CNI_CONFIG_FILENAME').path, ownedFileName), ''),
    pluginName,
    binarySource: text('CNI_BINARY_SOURCE') || join(given.programDir, 'sidecar-cni'),
    installsBinary: !isOn('SKIP_INSTALL_BINARIES'),
    installsConfig: !isOn('SKIP_INSTALL_CONFIG'),
    runDir: directory('CNI_AGENT_RUN_DIR', `/var/run/${pluginName}`),
    podSource: wordOf('POD_SOURCE', ['annotations', 'auto', 'api'], 'annotations'),
    kubeconfigDir: directory('KUBECONFIG_DIR', `/var/lib/${pluginName}`),
    kubeconfigMode: read('KUBECONFIG_MODE', readMode, 0o600),
    confMode: isOn('CNI_CONF_GROUP_READ') ? 0o640 : 0o600,
    pluginServiceAccount: text('PLUGIN_SERVICE_ACCOUNT'),
    networkAttachment:
      text('NETWORK_ATTACHMENT') === ''
        ? undefined
        : read('NETWORK_ATTACHMENT', readAttachment, undefined),
    excludeNamespaces: readList(
      [text('EXCLUDE_NAMESPACES'), text('ISTIO_NAMESPACE'), podNamespace ?? ''].join(),
    ),
    onError: wordOf('ON_ERROR', ['fail', 'warn'], 'fail'),
    iptablesMode: wordOf('IPTABLES_MODE', ['auto', 'nft', 'legacy', 'native'], 'auto'),
    toolDirs: read('TOOL_DIRS', readPaths, []),
    ipv6: wordOf('IPV6', ['auto', 'on', 'off'], 'auto'),
    logLevel,
    pluginLogLevel:
      text('PLUGIN_LOG_LEVEL') === '' ? logLevel : wordOf('PLUGIN_LOG_LEVEL', LOG_LEVELS, 'info'),
    monitoringPort: read('MONITORING_PORT', readPort, 0),
    healthPort: read('HEALTH_PORT', readPort, 0),
    podNamespace,
    nodeName: some('NODE_NAME'),
    daemonSet: some('DAEMONSET_NAME'),
    server: keep(readServer(said), undefined),
    serviceAccountDir,
    caFile: text('KUBE_CA_FILE') || join(serviceAccountDir, 'ca.crt'),
    skipsTlsVerify: isOn('SKIP_TLS_VERIFY'),
    isDryRun: isOn('DRY_RUN'),
    purges: isOn('PURGE'),
  }
  if (command === 'help') return good(settings)
  problems.push(...contradictions(settings))
  const repair = readRepairSettings(given.env, settings.hostRoot)
  if (!repair.ok) problems.push(...repair.problems)
  return problems.length === 0 ? good(settings) : { ok: false, problems }
}

const COMMANDS = ['install', 'uninstall', 'detect', 'help'] as const
const ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount'

const HELP: Flag = { name: 'help', short: 'h', kind: 'switch', help: 'show this text' }

/** The flags of the table as the shared reader of command lines knows them. */
const FLAGS: readonly Flag[] = [
  HELP,
  ...SETTINGS.map((setting): Flag => {
    const kind = setting.kind === 'switch' ? 'switch' : 'text'
    return { name: flagOf(setting).slice(2), env: [setting.env], kind, help: setting.help }
  }),
]

/** What a setting says, and where it was said. */
type Said = { readonly text: string; readonly path: string }

/** Flag over variable over default. An empty variable is none: manifests leave them so. */
function reader(
  given: readonly { readonly flag: Flag; readonly text: string }[],
  env: Given['env'],
): (name: SettingName) => Said {
  const said = new Map<string, Said>(
    SETTINGS.map((setting) => {
      const flag = flagOf(setting)
      const last = given.findLast((one) => `--${one.flag.name}` === flag)
      if (last !== undefined) return [setting.env, { text: last.text.trim(), path: flag }]
      const fromEnv = env[setting.env]?.trim() ?? ''
      return [setting.env, { text: fromEnv === '' ? setting.default : fromEnv, path: setting.env }]
    }),
  )
  return (name) => said.get(name) ?? { text: '', path: name }
}

function readServer(said: (name: SettingName) => Said): Read<URL | undefined> {
  const host = said('KUBERNETES_SERVICE_HOST').text
  const port = said('KUBERNETES_SERVICE_PORT').text || '443'
  const { text: protocol, path } = said('KUBERNETES_SERVICE_PROTOCOL')
  if (host === '') return good(undefined)
  if (protocol !== 'https' && protocol !== 'http') return bad(path, protocol, 'https or http')
  const url = `${protocol}://${isIP(host) === 6 ? `[${host}]` : host}:${port}/`
  if (/^[\w.:-]+$/.test(host) && /^\d{1,5}$/.test(port) && URL.canParse(url))
    return good(new URL(url))
  return bad('KUBERNETES_SERVICE_HOST', `${host} ${port}`, 'a host, and a port beside it')
}

/** What each setting allows by itself, but not together with another. */
function contradictions(settings: Settings): readonly Problem[] {
  const { command, isDryRun, isChained, ownedName, networkAttachment, podSource } = settings
  const problems: Problem[] = []
  const refuse = (path: string, got: string, want: string): void => {
    problems.push({ path, got, want })
  }
  if (command === 'install' && !isDryRun && settings.server === undefined) {
    refuse('KUBERNETES_SERVICE_HOST', '', 'an API server: is this not running in a pod?')
  }
  if (isChained === false && ownedName !== undefined) {
    refuse('OWNED_CNI_CONFIG', 'true', 'CHAINED_CNI_PLUGIN=true with it, or only one of them')
  }
  if (isChained === false && podSource === 'annotations') {
    refuse('POD_SOURCE', podSource, 'api with CHAINED_CNI_PLUGIN=false: Multus hands over nothing')
  }
  if (isChained !== false && networkAttachment !== undefined) {
    const { namespace, name } = networkAttachment
    refuse('NETWORK_ATTACHMENT', `${namespace}/${name}`, 'CHAINED_CNI_PLUGIN=false with it')
  }
  return problems
}
