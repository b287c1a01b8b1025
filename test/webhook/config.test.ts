import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { formatProblem } from '../../core/problem.ts'
import { webhookCommand } from '../../webhook/command.ts'
import { readConfig, type Flags } from '../../webhook/config.ts'

const files = { tlsCertFile: 'tls.crt', tlsKeyFile: 'tls.key' }
const cluster =
  'want --meshConfigFile, --valuesFile and --injectConfigFile: a cluster is not read yet'

const good: readonly {
  readonly what: string
  readonly flags: Flags
  readonly env?: Record<string, string>
  readonly want: object
}[] = [
  {
    what: 'as few flags as possible',
    flags: files,
    want: {
      port: 15017,
      monitoringPort: 15014,
      address: undefined,
      certificate: { from: 'files', files: { cert: 'tls.crt', key: 'tls.key' } },
      files: {},
      namespacesFile: undefined,
      revision: '',
      istioVersion: 'current',
      nativeSidecars: false,
      platform: '',
      compliancePolicy: '',
      drainMs: 0,
      logLevel: 'info',
    },
  },
  {
    what: 'all flags and the environment',
    flags: {
      ...files,
      port: '0',
      monitoringPort: '65535',
      address: 'localhost',
      meshConfigFile: 'm',
      valuesFile: 'v',
      injectConfigFile: 'i',
      namespacesFile: 'n',
      revision: 'canary',
      istioVersion: '1.8',
      drainDelay: '5',
      logLevel: 'warn',
    },
    env: { ENABLE_NATIVE_SIDECARS: 'true', PLATFORM: 'openshift', COMPLIANCE_POLICY: 'fips-140-2' },
    want: {
      port: 0,
      monitoringPort: 65535,
      address: '127.0.0.1',
      files: { mesh: 'm', values: 'v', injectConfig: 'i' },
      namespacesFile: 'n',
      revision: 'canary',
      istioVersion: '1.8',
      nativeSidecars: true,
      platform: 'openshift',
      compliancePolicy: 'fips-140-2',
      drainMs: 5000,
      logLevel: 'warn',
    },
  },
  {
    what: 'auto is plain where no node is known',
    flags: files,
    env: { ENABLE_NATIVE_SIDECARS: 'auto' },
    want: { nativeSidecars: false },
  },
  {
    what: 'an own CA knows the address and the Service',
    flags: { selfSigned: true, caFile: 'ca', address: '10.0.0.9' },
    env: { POD_NAMESPACE: 'mesh' },
    want: {
      certificate: {
        from: 'own-ca',
        caFile: 'ca',
        hosts: [
          'localhost',
          '127.0.0.1',
          '::1',
          'sidecar-injector',
          'sidecar-injector.mesh',
          'sidecar-injector.mesh.svc',
          'sidecar-injector.mesh.svc.cluster.local',
          '10.0.0.9',
        ],
      },
    },
  },
]

for (const { what, flags, env = {}, want } of good) {
  t.test(what, async (t) => t.match(readConfig(flags, env), { ok: true, value: want }))
}

const wrong: readonly { flags: Flags; env?: Record<string, string>; says: readonly string[] }[] = [
  {
    flags: {},
    says: [
      '--tls-cert-file: got "", want a file, or --self-signed instead',
      '--tls-key-file: got "", want a file, or --self-signed instead',
    ],
  },
  {
    flags: { selfSigned: true, tlsKeyFile: 'k' },
    says: ['--tls-key-file: got "k", want this flag or --self-signed'],
  },
  {
    flags: { ...files, caFile: 'ca' },
    says: ['--ca-file: got "ca", want --self-signed with it: the caBundle is not written yet'],
  },
  {
    flags: { ...files, configFromCluster: true, kubeconfig: 'k' },
    says: [`--config-from-cluster: got "", ${cluster}`, `--kubeconfig: got "k", ${cluster}`],
  },
  {
    flags: { ...files, port: '65536', monitoringPort: '-1', drainDelay: '1h', logLevel: 'loud' },
    env: { ENABLE_NATIVE_SIDECARS: 'yes' },
    says: [
      '--port: got "65536", want a whole number from 0 to 65535',
      '--monitoring-port: got "-1", want a whole number from 0 to 65535',
      '--drain-delay: got "1h", want a whole number from 0 to 3600',
      '--log-level: got "loud", want one of debug, info, warn, error, silent',
      'ENABLE_NATIVE_SIDECARS: got "yes", want one of true, false, auto',
    ],
  },
  {
    flags: { ...files, istioVersion: '1.9' },
    says: ['--istio-version: got "1.9", want one of current, 1.17, 1.8'],
  },
]

for (const { flags, env = {}, says } of wrong) {
  t.test(`refused: ${says.join('; ')}`, async (t) => {
    const read = readConfig(flags, env)
    t.strictSame(read.ok ? [] : read.problems.map(formatProblem), says)
  })
}

t.test('a mistake in the flags ends with 2 and says all of it', async (t) => {
  const written: string[] = []
  const command = webhookCommand()
    .exitOverride()
    .configureOutput({ writeErr: (text) => written.push(text) })
  const failed = await command
    .parseAsync(['--port', 'x'], { from: 'user' })
    .catch((e: unknown) => e)
  t.match(failed, { exitCode: 2 })
  t.match(written.join(''), /--port: got "x".*\n.*--tls-cert-file.*\n.*--tls-key-file/)
})

t.test('the reference page shows the flags as the help does', async (t) => {
  const page = await readFile(join(import.meta.dirname, '../../docs/reference/webhook.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `(-[^`]+)` \| (.+) \|$/gm)].map(([, flags, says]) => [
    flags,
    says,
  ])
  t.strictSame(
    rows,
    webhookCommand().options.map(({ flags, description }) => [flags, description]),
  )
})
