import js from '@eslint/js'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

/** The walls of the house: a room and what it must not import. Each ban carries its reason. */
const wall = (files, patterns) => ({
  files,
  rules: { 'no-restricted-imports': ['error', { patterns }] },
})
const doors = [
  '**/webhook/**',
  '**/kube-inject/**',
  '**/iptables-init/**',
  '**/cni-plugin/**',
  '**/cli/**',
  '**/explain/**',
  '**/preview/**',
  '**/check/**',
  '**/status/**',
  '**/datapath/**',
  '**/play/**',
]
const otherDoors = (...own) => ({
  group: doors.filter((door) => !own.some((room) => door.includes(room))),
  message: 'a door does not import another door; what both need belongs in core',
})

export default defineConfig(
  globalIgnores(['dist/', '.tap/', 'core/generated/', 'test/fixtures/', 'test/tools/']),
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-definitions': ['error', 'type'],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-assertions': ['error', { assertionStyle: 'never' }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafeCalls: [{ from: 'package', name: ['test'], package: '@tapjs/core' }] },
      ],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { ignoreRestSiblings: true, argsIgnorePattern: '^_' },
      ],
      eqeqeq: 'error',
    },
  },
  {
    files: ['core/**/*.ts'],
    rules: {
      // The typed variant, because it knows `import type`.
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [
            { group: doors, message: 'core knows no door' },
            { group: ['node:*'], message: 'core does no I/O: take the value as an argument' },
            {
              group: ['fastify', 'commander', 'execa', 'prom-client', '@peculiar/x509'],
              message: 'core is pure; this belongs to a door',
            },
            { group: ['**/cluster/**'], message: 'core opens no connection' },
            {
              group: ['@kubernetes/client-node'],
              allowTypeImports: true,
              message: 'core takes only types from the client: import type',
            },
          ],
        },
      ],
      'no-restricted-globals': [
        'error',
        ...['process', 'Date', 'console', 'fetch', 'setTimeout', 'setInterval', 'performance'].map(
          (name) => ({
            name,
            message: 'core has no process and no clock: take the value as an argument',
          }),
        ),
      ],
    },
  },
  wall(
    ['cluster/**/*.ts'],
    [
      { group: doors, message: 'cluster knows no door: it calls API servers for all of them' },
      {
        group: ['fastify', 'commander', 'execa', 'prom-client'],
        message: 'this belongs to a door',
      },
    ],
  ),
  wall(['webhook/**/*.ts'], [otherDoors('webhook')]),
  wall(
    ['kube-inject/**/*.ts'],
    [
      otherDoors('kube-inject'),
      { group: ['fastify', 'prom-client'], message: 'kube-inject must start fast in CI' },
    ],
  ),
  wall(['iptables-init/**/*.ts'], [otherDoors('iptables-init')]),
  // The one sideways door: the plugin applies rules with the code of the init container.
  wall(['cni-plugin/**/*.ts'], [otherDoors('cni-plugin', 'iptables-init')]),
  // These ask about manifests, which kube-inject reads; about rules, which iptables-init reads.
  wall(['explain/**/*.ts'], [otherDoors('explain', 'kube-inject')]),
  wall(['preview/**/*.ts'], [otherDoors('preview', 'kube-inject')]),
  wall(['check/**/*.ts'], [otherDoors('check', 'kube-inject')]),
  wall(['status/**/*.ts'], [otherDoors('status', 'kube-inject')]),
  // The page: what it takes from kube-inject must run in a browser.
  wall(
    ['play/**/*.ts'],
    [
      otherDoors('play', 'kube-inject'),
      { group: ['node:*', 'commander', 'execa'], message: 'there is no Node in a browser' },
    ],
  ),
  wall(['datapath/**/*.ts'], [otherDoors('datapath', 'kube-inject', 'iptables-init')]),
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/consistent-type-assertions': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-floating-promises': 'off',
    },
  },
  {
    files: ['**/*.mjs', '**/*.js'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        URL: 'readonly',
        Buffer: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
        setInterval: 'readonly',
        clearInterval: 'readonly',
      },
    },
  },
)
