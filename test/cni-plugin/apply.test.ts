import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { missingTools, noTools } from '../../cni-plugin/apply.ts'
import { makeNetnsRun, searchPath, wordsInto } from '../../cni-plugin/netns.ts'
import { need } from '../require.ts'
import {
  annotationsWith,
  call,
  confWith,
  envWith,
  netnsUnavailable,
  nodePlan,
  PLAN_KEY,
} from './plugin.ts'

const kernel = need(netnsUnavailable())
let made = 0

/** A network namespace with addresses of its own, gone with the test. */
function makeNetns(t: Test, addresses: readonly string[] = ['10.250.9.2/32']) {
  const name = `cni-a-${process.pid}-${made++}`
  const path = `/run/netns/${name}`
  spawnSync('ip', ['netns', 'add', name])
  t.teardown(() => {
    spawnSync('ip', ['netns', 'del', name])
  })
  for (const address of addresses)
    spawnSync('ip', ['-n', name, 'address', 'add', address, 'dev', 'lo'])
  const inside = (...words: readonly string[]): string => {
    const [program = '', ...args] = words
    return spawnSync('nsenter', [`--net=${path}`, '--', program, ...args], { encoding: 'utf8' })
      .stdout
  }
  const rules = (tool = 'iptables-nft-save'): string[] =>
    inside(tool)
      .split('\n')
      .filter((line) => line.startsWith('-A'))
  return { name, path, inside, rules }
}

/** Stands for a runtime that hands over nothing. */
const NOTHING = Symbol('no annotations')

async function ask(
  command: string,
  netns: string,
  conf: Readonly<Record<string, unknown>> = {},
  annotations: unknown = annotationsWith(),
) {
  const handed = annotations === NOTHING ? undefined : annotations
  return call(envWith({ CNI_COMMAND: command, CNI_NETNS: netns }), confWith(handed, conf))
}

t.test('ADD writes the rules, a second one finds them, CHECK agrees', kernel, async (t) => {
  const { path, rules } = makeNetns(t)
  const prevResult = { cniVersion: '1.0.0', ips: [], own: { x: 1 } }
  const first = await ask('ADD', path, { prevResult })
  t.match(first, { exit: 0, json: prevResult }, first.stdout)
  t.equal(first.stdout, JSON.stringify(prevResult))
  const written = rules()
  t.ok(written.includes('-A OUTPUT -j ISTIO-OUTPUT'), written.join('\n'))
  t.ok(written.includes('-A ISTIO-INBOUND -p tcp -m tcp --dport 15020 -j RETURN'))

  const second = await ask('ADD', path, { prevResult })
  t.match(second.log, [{ did: ['the rules are there already: nothing to do'] }])
  t.strictSame(rules(), written, 'no second jump')
  t.match(await ask('CHECK', path), { exit: 0, stdout: '' })
  t.match(await ask('DEL', path), { exit: 0, stdout: '' })
  t.strictSame(rules(), written, 'DEL leaves them to the end of the namespace')
})

t.test('CHECK names what is missing and what is foreign, and nothing else', kernel, async (t) => {
  const { path, inside, rules } = makeNetns(t)
  await ask('ADD', path)
  inside('iptables-nft', '-t', 'filter', '-A', 'INPUT', '-j', 'ACCEPT')
  inside('iptables-nft', '-t', 'nat', '-A', 'POSTROUTING', '-j', 'RETURN')
  t.match(await ask('CHECK', path), { exit: 0 }, 'rules of somebody else are their affair')

  inside(
    'iptables-nft',
    '-t',
    'nat',
    '-D',
    'ISTIO-OUTPUT',
    '-m',
    'owner',
    '--uid-owner',
    '1337',
    '-j',
    'RETURN',
  )
  inside('iptables-nft', '-t', 'nat', '-I', 'ISTIO-OUTPUT', '-p', 'tcp', '-j', 'ACCEPT')
  const differs = await ask('CHECK', path)
  t.match(differs, { exit: 1, json: { code: 103 } })
  t.match(differs.json['details'], /- nat ISTIO-OUTPUT: -m owner --uid-owner 1337 -j RETURN/)
  t.match(differs.json['details'], /\+ nat ISTIO-OUTPUT: -p tcp -j ACCEPT/)
  t.match(await ask('CHECK', path, { on_error: 'warn' }), { exit: 0, log: [{ reason: 'warned' }] })

  inside('iptables-nft', '-t', 'nat', '-F')
  inside('iptables-nft', '-t', 'nat', '-X')
  const flushed = await ask('CHECK', path)
  t.match(flushed.json, { code: 103, msg: /rules differ/ })
  for (const missing of [
    '- nat OUTPUT: -j ISTIO-OUTPUT',
    '- nat ISTIO-REDIRECT: -p tcp -j REDIRECT --to-ports 15001',
  ]) {
    t.ok(String(flushed.json['details']).includes(missing), missing)
  }
  t.match(await ask('ADD', path), { exit: 0 })
  t.match(await ask('CHECK', path), { exit: 0 }, 'an ADD repairs')
  t.match(rules('iptables-nft-save').filter((line) => line.startsWith('-A INPUT')).length, 1)
})

t.test('CHECK of tables of our own names what is missing, too', kernel, async (t) => {
  const { path, inside } = makeNetns(t)
  const conf = { iptables_mode: 'native' }
  t.match(await ask('ADD', path, conf), { exit: 0 })
  inside('nft', 'flush', 'ruleset')
  const flushed = await ask('CHECK', path, conf)
  t.match(flushed.json, { code: 103, details: /nft - nat OUTPUT: -j ISTIO-OUTPUT/ }, flushed.stdout)
})

t.test('CHECK passes where it cannot know', kernel, async (t) => {
  const { path } = makeNetns(t)
  for (const annotations of [NOTHING, null, { ...annotationsWith(), [PLAN_KEY]: 'x' }]) {
    t.match(
      await ask('CHECK', path, {}, annotations),
      { exit: 0, stdout: '' },
      'nothing, no pod of kubelet, a broken plan',
    )
  }
})

t.test('what each setting and plan writes is what CHECK expects', kernel, async (t) => {
  const v6 = ['10.250.9.2/32', 'fd25:9::2/128']
  const cases = [
    {
      name: 'TPROXY',
      plan: nodePlan({ mode: 'TPROXY' }),
      has: ['iptables-nft-save', /-j TPROXY --on-port 15006/],
    },
    {
      name: 'dual stack',
      addresses: v6,
      plan: nodePlan({ dualStack: true }),
      has: ['ip6tables-nft-save', /ISTIO-OUTPUT/],
    },
    {
      name: 'ipv6: on',
      addresses: v6,
      conf: { ipv6: 'on' },
      has: ['ip6tables-nft-save', /ISTIO-OUTPUT/],
    },
    {
      name: 'only an IPv6 address',
      addresses: v6.slice(1),
      has: ['ip6tables-nft-save', /ISTIO-OUTPUT/],
    },
    {
      name: 'ipv6: off',
      addresses: v6,
      plan: nodePlan({ dualStack: true }),
      conf: { ipv6: 'off' },
      lacks: ['ip6tables-nft-save', /ISTIO-OUTPUT/],
    },
    { name: 'no address yet', addresses: [], has: ['iptables-nft-save', /ISTIO-OUTPUT/] },
    {
      name: 'legacy',
      conf: { iptables_mode: 'legacy' },
      has: ['iptables-legacy-save', /ISTIO-OUTPUT/],
      lacks: ['iptables-nft-save', /ISTIO-OUTPUT/],
    },
    {
      name: 'native',
      conf: { iptables_mode: 'native' },
      has: ['nft list ruleset', /table inet istio-proxy-nat/],
    },
    {
      name: 'native by the plan',
      plan: nodePlan({}, { nativeNftables: true }),
      has: ['nft list ruleset', /table inet istio-proxy-nat/],
    },
    {
      name: 'underscores by the plan',
      plan: nodePlan({}, { look: { profile: 'current', style: 'underscore' } }),
      has: ['iptables-nft-save', /ISTIO_OUTPUT/],
    },
    {
      name: 'release 1.8 by the plan',
      plan: nodePlan({}, { look: { profile: '1.8', style: 'hyphen' } }),
      has: ['iptables-nft-save', /ISTIO-INBOUND .*--dport 22 -j RETURN/],
    },
    {
      name: 'DNS, resolvers known',
      plan: nodePlan({ dns: 'servers' }),
      conf: { runtimeDns: ['10.96.0.10'] },
      has: ['iptables-nft-save', /-d 10\.96\.0\.10\/32 -p udp .*--to-ports 15053/],
    },
    {
      name: 'DNS, resolvers not known',
      plan: nodePlan({ dns: 'servers' }),
      has: [
        'iptables-nft-save',
        /-A OUTPUT -p udp -m udp --dport 53 -j ISTIO-OUTPUT-DNS|-p udp -m udp --dport 53 -j REDIRECT --to-ports 15053/,
      ],
    },
  ] as const
  for (const one of cases) {
    const { path, inside } = makeNetns(t, 'addresses' in one ? one.addresses : undefined)
    const { runtimeDns, ...conf }: { runtimeDns?: readonly string[] } & Record<string, unknown> =
      'conf' in one ? one.conf : {}
    const annotations = annotationsWith('plan' in one ? one.plan : nodePlan())
    const given = JSON.parse(confWith(annotations, conf)) as {
      runtimeConfig: Record<string, unknown>
    }
    if (runtimeDns !== undefined) given.runtimeConfig['dns'] = { servers: runtimeDns }
    const stdin = JSON.stringify(given)
    const added = await call(envWith({ CNI_NETNS: path }), stdin)
    t.equal(added.exit, 0, `${one.name}: ${added.stdout}`)
    const listing = (words: string): string => inside(...words.split(' '))
    if ('has' in one) t.match(listing(one.has[0]), one.has[1], `${one.name}: has`)
    if ('lacks' in one) t.notMatch(listing(one.lacks[0]), one.lacks[1], `${one.name}: lacks`)
    const checked = await call(envWith({ CNI_COMMAND: 'CHECK', CNI_NETNS: path }), stdin)
    t.equal(checked.exit, 0, `${one.name}: CHECK ${checked.stdout}`)
    const again = await call(envWith({ CNI_NETNS: path }), stdin)
    t.match(again.log.at(-1)?.['did'], /nothing to do/, `${one.name}: twice`)
  }
})

t.test('skips leave the namespace as it was, and say why', kernel, async (t) => {
  const { path, rules } = makeNetns(t)
  const excluded = await call(
    envWith({ CNI_NETNS: path, CNI_ARGS: 'K8S_POD_NAMESPACE=kube-system;K8S_POD_NAME=x' }),
    confWith(annotationsWith()),
  )
  t.match(excluded, {
    exit: 0,
    json: { cniVersion: '1.0.0' },
    log: [{ reason: 'excluded-namespace', pod: 'kube-system/x' }],
  })
  const bad = { ...annotationsWith(), [PLAN_KEY]: '{"v":1}' }
  t.match(await ask('ADD', path, {}, bad), { exit: 1, json: { code: 104 } })
  t.match(await ask('ADD', path, { on_error: 'warn' }, bad), {
    exit: 0,
    log: [{ reason: 'warned', code: 104 }],
  })
  t.match(await ask('ADD', path, {}, NOTHING), { exit: 1, json: { code: 106 } })
  t.strictSame(rules(), [])
})

t.test("the node's own rules stay as they are, whatever the path is called", kernel, async (t) => {
  const name = `cni-own-${process.pid}`
  spawnSync('ip', ['netns', 'attach', name, String(process.pid)])
  t.teardown(() => {
    spawnSync('ip', ['netns', 'del', name])
  })
  const rules = (): string =>
    ['iptables-nft-save', 'ip6tables-nft-save']
      .map((tool) =>
        spawnSync(tool, { encoding: 'utf8' }).stdout.replace(/^#.*$|\[\d+:\d+\]/gm, ''),
      )
      .join()
  const before = rules()
  for (const path of [`/run/netns/${name}`, `/proc/${process.pid}/ns/net`]) {
    t.match(await ask('ADD', path), { exit: 1, json: { code: 8 } }, path)
    t.match(
      await ask('ADD', path, { on_error: 'warn' }),
      { exit: 1, json: { code: 8 } },
      `${path}, on_error: warn`,
    )
  }
  t.equal(rules(), before)
  t.match(
    await ask('ADD', '/proc/self/ns/mnt'),
    { exit: 1, json: { code: 105 } },
    'a namespace of another kind',
  )
})

/** A folder of programs that stand before the real ones. */
function makeTools(t: Test, scripts: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'cni-tools-'))
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(folder, name), 0o755)
  }
  return folder
}

t.test(
  'a program that fails: nothing is left behind, and its words are told',
  kernel,
  async (t) => {
    const real = spawnSync('which', ['ip6tables-nft-restore'], { encoding: 'utf8' }).stdout.trim()
    const fails = `case "$*" in *--test*) exec ${real} "$@";; *) cat >/dev/null; echo "no such module" >&2; exit 3;; esac`
    const tools = makeTools(t, { 'ip6tables-nft-restore': fails })
    const { path, rules } = makeNetns(t, ['10.250.9.2/32', 'fd25:9::2/128'])
    const failed = await ask('ADD', path, { tool_dirs: [tools], ipv6: 'on' })
    t.match(
      failed,
      { exit: 1, json: { code: 102, details: /no such module.*as they were before/s } },
      failed.stdout,
    )
    t.strictSame([...rules(), ...rules('ip6tables-nft-save')], [], 'IPv4 was taken back')
    t.match(await ask('ADD', path, { ipv6: 'on' }), { exit: 0 })
  },
)

t.test(
  'programs get PATH, LC_ALL and the lock of the namespace, nothing else',
  kernel,
  async (t) => {
    const tools = makeTools(t, {
      ip: 'env -0 > "$(dirname "$0")/env"\nexec /usr/bin/env ip-that-is-not-there',
    })
    const { path } = makeNetns(t)
    const strange = {
      MY_SECRET: 'x',
      LD_LIBRARY_PATH: '/nowhere',
      IPTABLES_X: '1',
      LC_MESSAGES: 'de_DE',
    }
    Object.assign(process.env, strange)
    t.teardown(() => {
      for (const name of Object.keys(strange)) Reflect.deleteProperty(process.env, name)
    })
    await ask('ADD', path, { tool_dirs: [tools] })
    const lines = readFileSync(join(tools, 'env'), 'utf8').split('\0')
    const names = lines.map((line) => line.replace(/=.*/s, '')).filter((name) => name !== '')
    // The shell of the script adds its own, and tap watches every program that a test starts.
    const added = /^(PWD|OLDPWD|SHLVL|_|NODE_OPTIONS|_TAPJS_.*)$/
    t.strictSame(names.filter((name) => !added.test(name)).sort(), [
      'LC_ALL',
      'PATH',
      'XTABLES_LOCKFILE',
    ])
  },
)

t.test('a program that hangs is killed, and so is what comes after the budget', async (t) => {
  const run = makeNetnsRun(['/usr/bin/env'], {
    path: '/usr/bin:/bin',
    lock: '/x',
    budget: { step: 200, whole: 500 },
  })
  const started = performance.now()
  t.match(await run('sleep', ['30']), { code: -1, stderr: /ended by SIGKILL after 200 ms/ })
  await run('sleep', ['30'])
  t.match(await run('sleep', ['30']), { code: -1 })
  t.ok(performance.now() - started < 5_000)
})

t.test('which tools are missing, and where they were looked for', async (t) => {
  const folder = makeTools(t, {})
  t.strictSame(missingTools(folder, false, { iptablesMode: 'legacy' }), [
    'ip',
    'nsenter',
    'iptables-legacy-save and -restore',
  ])
  t.match(missingTools(folder, true, { iptablesMode: 'auto' }), ['ip', 'nsenter', 'nft'])
  const failure = noTools(['nft'], '/a:/b')
  t.match(failure, {
    kind: 'tools',
    message: /not found on this node: nft/,
    details: 'searched: /a:/b',
  })
  t.equal(
    searchPath(['/x'], 'relative:/y::/x'),
    '/x:/y:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin',
  )
  t.equal(wordsInto('/run/netns/a', folder), undefined)
  mkdirSync(join(folder, 'only-ip'))
  writeFileSync(join(folder, 'only-ip/ip'), '', { mode: 0o755 })
  t.strictSame(wordsInto('/run/netns/a', join(folder, 'only-ip')), [
    join(folder, 'only-ip/ip'),
    'netns',
    'exec',
    'a',
  ])
  t.equal(wordsInto('/proc/7/ns/net', join(folder, 'only-ip')), undefined)
  t.ok(existsSync(folder))
})
