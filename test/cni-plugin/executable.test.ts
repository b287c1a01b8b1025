/** The plugin as one executable: the same bytes each time, and the same answers wherever a runtime starts it. */
import { execa } from 'execa'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { executableUnavailable, makePlugin } from '../../scripts/executable.mjs'
import { need } from '../require.ts'
import { demandsOf } from './elf.ts'
import { envWith } from './plugin.ts'

const root = join(import.meta.dirname, '../..')

/** What Node and its libraries look at in an environment; `V8` and `UV` are its own parts. */
const NAMES = /\b(?:NODE|OPENSSL|SSL|UV|V8|ICU)_[A-Z][A-Z0-9_]{2,40}\b/g
/** At least these must be found by their names, else the search is wrong. */
const KNOWN = [
  'NODE_CHANNEL_FD',
  'NODE_OPTIONS',
  'NODE_V8_COVERAGE',
  'OPENSSL_CONF',
  'SSL_CERT_FILE',
]
/** Others that change what a program does on many machines. */
const MORE = [
  'LANG',
  'LC_ALL',
  'HOME',
  'TMPDIR',
  'TZ',
  'HTTPS_PROXY',
  'NO_COLOR',
  'FORCE_COLOR',
  'DEBUG',
]

const COMMANDS = [
  { CNI_COMMAND: 'VERSION' },
  { CNI_COMMAND: 'ADD' },
  { CNI_COMMAND: 'NONSENSE', CNI_IFNAME: 'eth0' },
] as const

t.test('the executable', need(executableUnavailable()), async (t) => {
  const folder = await makePlugin(root)
  const file = join(folder, 'sidecar-cni')
  const elf = await readFile(file)
  const place = await mkdtemp(join(tmpdir(), 'cni-executable-'))
  t.teardown(() => rm(place, { recursive: true }))

  await t.test('is the same when it is made again, elsewhere', async (t) => {
    const cache = join(place, 'cache')
    await mkdir(cache)
    for (const name of await readdir(dirname(folder)))
      if (name.startsWith('node-')) await symlink(join(dirname(folder), name), join(cache, name))
    const { stdout } = await execa(
      process.execPath,
      ['--input-type=module', '--eval', MAKE_AGAIN, join(root, 'scripts/executable.mjs'), root],
      { env: { SIDECAR_TEST_CACHE: cache, TZ: 'Asia/Tokyo', LANG: 'C' }, cwd: place },
    )
    t.equal(dirname(stdout), cache, 'it was made there')
    t.equal(basename(stdout), basename(folder))
    t.equal(sumOf(await readFile(join(stdout, 'sidecar-cni'))), sumOf(elf))
  })

  await t.test('asks its machine for these libraries only', async (t) => {
    const { libraries, versions } = demandsOf(elf)
    const loader = process.arch === 'x64' ? 'ld-linux-x86-64.so.2' : 'ld-linux-aarch64.so.1'
    t.strictSame([...libraries].sort(), [
      loader,
      'libc.so.6',
      'libdl.so.2',
      'libgcc_s.so.1',
      'libm.so.6',
      'libpthread.so.0',
      'libstdc++.so.6',
    ])
    // Debian 10, RHEL 8, Ubuntu 20.04 and everything newer.
    t.match(versions, { GLIBC: '2.28', GLIBCXX: '3.4.21' })
  })

  await t.test('hears of nothing but the call', async (t) => {
    const names = [...new Set([...(elf.toString('latin1').match(NAMES) ?? []), ...MORE])].sort()
    for (const known of KNOWN) t.ok(names.includes(known), `${known} is among them`)
    t.comment(`${names.length} variables`)
    const hostile = await furnish(join(place, 'hostile'))
    const values = ['1', '3', 'nonsense --inspect-brk', 'net,tls,fs', 'file', join(hostile, 'file')]
    for (const command of COMMANDS) {
      const want = await answer(file, place, command)
      for (const value of values) {
        const env = Object.fromEntries(names.map((name) => [name, value]))
        const got = await answer(file, hostile, { ...env, ...command })
        t.strictSame(got, want, `${command.CNI_COMMAND}, each with ${value}`)
      }
    }
    t.strictSame(await readdir(hostile), FURNITURE, 'nothing was written where it stood')
    const bare = join(dirname(folder), (await readdir(dirname(folder))).find(isNode) ?? '', 'node')
    const hurt = await Promise.all(
      ['NODE_CHANNEL_FD', 'OPENSSL_CONF'].map(async (name) => {
        const env = { [name]: join(hostile, 'file') }
        const options = { env, extendEnv: false, reject: false, cwd: hostile } as const
        return (await execa(bare, ['--eval', '0'], options)).exitCode
      }),
    )
    t.notOk(hurt.includes(0), `the same values end Node itself: ${hurt.join(', ')}`)
  })

  // Node's manual says that a program with a code cache cannot import; built-in modules it can.
  await t.test('loads what it needs late: the collector gets its log', async (t) => {
    const bodies: string[] = []
    const collector = createServer((request, response) => {
      void text(request).then((body) => {
        bodies.push(body)
        response.end()
      })
    }).listen(join(place, 'log.sock'))
    t.teardown(() => collector.close())
    const conf = { cniVersion: '1.0.0', name: 'net', type: 'sidecar-cni', run_dir: place }
    const env = envWith({ CNI_NETNS: join(place, 'no-netns') })
    await execa(file, [], { env, reject: false, input: JSON.stringify(conf) })
    t.match(bodies.join(), 'no-netns')
  })

  await t.test('takes no arguments', async (t) => {
    const want = await answer(file, place, { CNI_COMMAND: 'VERSION' })
    for (const args of [['--version'], ['--eval', 'process.exit(7)'], ['-p', '1'], ['other.js']])
      t.strictSame(
        await answer(file, place, { CNI_COMMAND: 'VERSION' }, args),
        want,
        args.join(' '),
      )
  })
})

const MAKE_AGAIN = `
  const { makePlugin } = await import(process.argv[1])
  process.stdout.write(await makePlugin(process.argv[2]))
`

/** Files that Node, npm or OpenSSL would find in a working directory. */
const FURNITURE = [
  '.env',
  '.npmrc',
  'bin.js',
  'file',
  'main.cjs',
  'node_modules',
  'openssl.cnf',
  'package.json',
]

async function furnish(folder: string): Promise<string> {
  await mkdir(join(folder, 'node_modules'), { recursive: true })
  for (const name of FURNITURE.filter((name) => name !== 'node_modules'))
    await writeFile(join(folder, name), 'process.exit(7)\n')
  return folder
}

/** All that a runtime gets to see; times and identifiers in the log lines are not compared. */
async function answer(
  file: string,
  cwd: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
) {
  const options = { cwd, env, extendEnv: false, reject: false, input: '{}' } as const
  const { exitCode, stdout, stderr } = await execa(file, args, options)
  return { exitCode, stdout, stderr: stderr.replaceAll(/"(?:time|ms)":[^,}]*/g, '') }
}

function isNode(name: string): boolean {
  return name.startsWith('node-') && name.endsWith(`-${process.arch}`)
}

function sumOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
