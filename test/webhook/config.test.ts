import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { formatProblem } from '../../core/problem.ts'
import { webhookCommand } from '../../webhook/command.ts'
import { readConfig, type Flags } from '../../webhook/config.ts'

const files = { tlsCertFile: 'tls.crt', tlsKeyFile: 'tls.key' }
const cluster = 'want a flag beside it that asks the cluster: --config-from-cluster'

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
      nativeMode: 'auto',
      configMaps: undefined,
      cluster: undefined,
      platform: '',
      compliancePolicy: '',
      drainMs: 0,
      limits: { requests: 2000, connections: 4000, heldBytes: 64 * 1024 * 1024 },
      hasEvents: false,
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
      maxRequests: '1',
      maxConnections: '99999',
      maxBodyMemory: '6',
      events: 'false',
      logLevel: 'warn',
    },
    env: { ENABLE_NATIVE_SIDECARS: 'true', PLATFORM: 'openshift', COMPLIANCE_POLICY: 'fips-140-2' },
    want: {
      port: 0,
      monitoringPort: 65535,
      limits: { requests: 1, connections: 99_999, heldBytes: 6 * 1024 * 1024 },
      hasEvents: false,
      address: '127.0.0.1',
      files: { mesh: 'm', values: 'v', injectConfig: 'i' },
      namespacesFile: 'n',
      revision: 'canary',
      istioVersion: '1.8',
      nativeMode: 'true',
      platform: 'openshift',
      compliancePolicy: 'fips-140-2',
      drainMs: 5000,
      logLevel: 'warn',
    },
  },
  {
    what: 'a cluster, and where in it, by the names of Istio',
    flags: { ...files, configFromCluster: true, revision: 'canary' },
    env: { POD_NAMESPACE: 'mesh', ENABLE_NATIVE_SIDECARS: 'auto' },
    want: {
      nativeMode: 'auto',
      cluster: {},
      configMaps: [
        { namespace: 'mesh', name: 'istio-canary' },
        { namespace: 'mesh', name: 'istio-sidecar-injector-canary' },
      ],
    },
  },
  {
    what: 'a cluster, and where in it, by flags',
    flags: {
      ...files,
      configFromCluster: true,
      kubeconfig: 'k',
      context: 'c',
      istioNamespace: 'n',
      meshConfigMapName: 'a',
      injectConfigMapName: 'b',
    },
    want: {
      cluster: { kubeconfig: 'k', context: 'c' },
      configMaps: [
        { namespace: 'n', name: 'a', keys: [['mesh', 'mesh']] },
        {
          namespace: 'n',
          name: 'b',
          keys: [
            ['injectConfig', 'config'],
            ['values', 'values'],
          ],
        },
      ],
    },
  },
  {
    what: 'a CA in a file is published by the one who leads',
    flags: { ...files, caFile: 'ca' },
    want: {
      certificate: { from: 'files', caFile: 'ca' },
      lease: { name: 'sidecar-injector', seconds: 15 },
      clients: undefined,
      cluster: {},
    },
  },
  {
    what: 'an own CA in a Secret, for a revision behind a Service of its own',
    flags: { ownCaSecret: true, revision: 'canary', service: 'injector', leaseDuration: '9' },
    env: { POD_NAMESPACE: 'mesh' },
    want: {
      certificate: {
        from: 'secret',
        name: 'sidecar-injector-ca-canary',
        hosts: [
          'localhost',
          '127.0.0.1',
          '::1',
          'injector',
          'injector.mesh',
          'injector.mesh.svc',
          'injector.mesh.svc.cluster.local',
        ],
        delayMs: 60_000,
      },
      lease: { name: 'sidecar-injector-canary', seconds: 9 },
      podNamespace: 'mesh',
      cluster: {},
    },
  },
  {
    what: 'a Secret by its name, and callers by theirs',
    flags: { ownCaSecret: 'mine', caRotationDelay: '2', clientCaFile: 'c', clientName: ' a, b,' },
    want: {
      certificate: { from: 'secret', name: 'mine', delayMs: 2000 },
      clients: { file: 'c', names: ['a', 'b'] },
      podNamespace: 'istio-system',
    },
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

t.test('Events are written where there is a cluster, unless a flag says otherwise', async (t) => {
  const cases: readonly (readonly [flags: Flags, hasEvents: boolean])[] = [
    [{ configFromCluster: true }, true],
    [{ configFromCluster: true, events: 'false' }, false],
    [{ events: 'true', kubeconfig: 'k' }, true],
    [{ events: 'false' }, false],
  ]
  for (const [flags, hasEvents] of cases) {
    t.match(readConfig({ ...files, ...flags }, {}), { ok: true, value: { hasEvents } })
  }
})

const wrong: readonly { flags: Flags; env?: Record<string, string>; says: readonly string[] }[] = [
  {
    flags: {},
    says: [
      '--tls-cert-file: got "", want a file, or --self-signed or --own-ca-secret instead',
      '--tls-key-file: got "", want a file, or --self-signed or --own-ca-secret instead',
    ],
  },
  {
    flags: { selfSigned: true, tlsKeyFile: 'k' },
    says: ['--tls-key-file: got "k", want this flag or --self-signed'],
  },
  {
    flags: { ...files, ownCaSecret: true, selfSigned: true, caFile: 'ca' },
    says: ['--tls-cert-file', '--tls-key-file', '--ca-file', '--self-signed'].map((flag, index) => {
      const got = ['tls.crt', 'tls.key', 'ca', ''][index] ?? ''
      return `${flag}: got "${got}", want this flag or --own-ca-secret`
    }),
  },
  {
    flags: { ...files, leaseDuration: '0', caRotationDelay: '1.5', clientName: 'a' },
    says: [
      '--ca-rotation-delay: got "1.5", want whole seconds from 1 to 3600',
      '--lease-duration: got "0", want whole seconds from 1 to 3600',
      '--lease-duration: got "0", want --own-ca-secret or --ca-file with it: nothing else needs a leader',
      '--ca-rotation-delay: got "1.5", want --own-ca-secret with it',
      '--client-name: got "a", want --client-ca-file with it',
    ],
  },
  {
    flags: { ...files, kubeconfig: 'k', istioNamespace: 'n' },
    says: [
      `--kubeconfig: got "k", ${cluster}, --own-ca-secret, --ca-file or --events true`,
      `--istioNamespace: got "n", ${cluster}`,
    ],
  },
  {
    flags: { ...files, maxRequests: '0', maxConnections: 'x', maxBodyMemory: '', events: 'yes' },
    says: [
      '--max-requests: got "0", want a whole number from 1 to 99999',
      '--max-connections: got "x", want a whole number from 1 to 99999',
      '--max-body-memory: got "", want a whole number from 1 to 99999',
      '--events: got "yes", want one of true, false',
    ],
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
