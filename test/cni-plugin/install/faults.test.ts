/** What goes wrong on real nodes: whatever it is, a runtime can load the network at every moment. */
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { until } from '../../e2e/until.ts'
import { need } from '../../require.ts'
import {
  buildInstaller,
  load,
  loadFile,
  makeNode,
  pluginText,
  primary,
  put,
  startInstaller,
  types,
} from './node.ts'
import type { Started, TestNode } from './node.ts'

const isFull = process.env['REQUIRE'] === 'all'
const KILLS = isFull ? 200 : 20
const REWRITES_MS = isFull ? 10_000 : 4_000

const program = await buildInstaller()
t.teardown(program.remove)

async function nodeFor(t: Test): Promise<TestNode> {
  const node = await makeNode()
  t.teardown(node.close)
  return node
}

function start(t: Test, node: TestNode, env: Readonly<Record<string, string>> = {}): Started {
  const started = startInstaller(program.path, { ...node.env, ...env })
  t.teardown(async () => {
    started.child.kill('SIGKILL')
    await started.ended
  })
  return started
}

function drafts(node: TestNode): readonly string[] {
  const names = [...readdirSync(node.netDir), ...readdirSync(node.binDir)]
  return names.filter((name) => name.startsWith('.'))
}

t.test(`killed at ${KILLS} random moments`, async (t) => {
  if (!isFull) t.comment('200 moments run with REQUIRE=all')
  // Two nodes at once: most of the time is waiting for the disk.
  const nodes = [await nodeFor(t), await nodeFor(t)]
  const unfinished = await Promise.all(nodes.map((node) => killAll(t, node, KILLS / nodes.length)))
  const count = unfinished.reduce((sum, one) => sum + one, 0)
  t.comment(`${count} of ${KILLS} were killed before they were ready`)
  t.ok(count > KILLS / 5, 'many were killed in the middle')
  for (const node of nodes) {
    // What they left behind is old by the time somebody comes: a draft of this moment may be in use.
    for (const folder of [node.netDir, node.binDir]) {
      for (const name of readdirSync(folder).filter((name) => name.startsWith('.'))) {
        utimesSync(join(folder, name), 0, 0)
      }
    }
    await start(t, node).ready()
    t.strictSame(drafts(node), [], 'no drafts are left')
    t.strictSame(types(load(node)).slice(-1), ['sidecar-cni'])
    const installed = readFileSync(join(node.binDir, 'sidecar-cni'), 'utf8')
    t.equal(installed, readFileSync(node.source, 'utf8'))
  }
})

/** Kills one installer after the other; a runtime must find a network that loads after each. Answers how many were not done. */
async function killAll(t: Test, node: TestNode, kills: number): Promise<number> {
  const sources = ['one', 'two'].map((mark) => pluginText(mark, 1024))
  const list = join(node.netDir, '10-main.conflist')
  const single = join(node.netDir, '10-main.conf')
  put(list, primary())
  await timed(node)
  writeFileSync(node.source, sources[0] ?? '')
  const usual = await timed(node)
  let unfinished = 0
  for (let kill = 0; kill < kills; kill++) {
    // Something to do each time: another executable, and mostly a primary that has written its file again.
    writeFileSync(node.source, sources[(kill + 1) % 2] ?? '')
    const isList = kill < kills / 2
    if (isList && kill % 3 !== 2) put(list, primary(1400 + kill))
    if (!isList && kill % 3 !== 2) {
      const version = { cniVersion: '0.3.1', name: 'k8s-pod-network' }
      put(single, { ...version, type: 'bridge', mtu: 1400 + kill })
      // A primary that has changed its form takes the old file away.
      const isOurs = existsSync(list) && types(loadFile(node, list)).includes('sidecar-cni')
      if (!isOurs) rmSync(list, { force: true })
    }
    const running = startInstaller(program.path, node.env)
    const moment = usual * (0.25 + 0.85 * Math.random())
    await new Promise((resolve) => setTimeout(resolve, moment))
    running.child.kill('SIGKILL')
    await running.ended
    if (!running.log().includes('"msg":"ready"')) unfinished += 1

    const why = `kill ${kill}, after ${Math.round(moment)} ms`
    const loaded = load(node)
    t.equal(loaded.name, 'k8s-pod-network', why)
    t.ok(types(loaded).filter((type) => type === 'sidecar-cni').length <= 1, why)
    const path = join(node.binDir, 'sidecar-cni')
    const installed = existsSync(path) ? readFileSync(path, 'utf8') : undefined
    if (installed === undefined) {
      t.notOk(types(loaded).includes('sidecar-cni'), why)
      continue
    }
    const isWhole = [pluginText('one'), ...sources].includes(installed)
    if (!isWhole) t.fail(`${why}: the executable has ${installed.length} bytes`)
  }
  return unfinished
}

/** Milliseconds until the node is ready; the installer is killed then. */
async function timed(node: TestNode): Promise<number> {
  const begin = performance.now()
  const running = startInstaller(program.path, node.env)
  await running.ready()
  const usual = performance.now() - begin
  running.child.kill('SIGKILL')
  await running.ended
  return usual
}

t.test('the primary rewrites its list ten times a second', async (t) => {
  const node = await nodeFor(t)
  const list = join(node.netDir, '10-main.conflist')
  put(list, primary())
  const running = start(t, node)
  await running.ready()
  const end = performance.now() + REWRITES_MS
  let mtu = 1500
  let looks = 0
  while (performance.now() < end) {
    mtu += 1
    put(list, primary(mtu))
    for (let look = 0; look < 5; look++) {
      const loaded = load(node)
      looks += 1
      if (loaded.name !== 'k8s-pod-network') t.fail(`got ${JSON.stringify(loaded)}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const loaded = await until('our entry', async () => {
    return types(load(node)).includes('sidecar-cni') ? load(node) : undefined
  })
  t.strictSame(types(loaded), ['bridge', 'portmap', 'sidecar-cni'])
  t.equal(loaded.plugins[0]?.['mtu'], mtu, 'what the primary wrote last is there')
  await until('readiness', async () =>
    (await running.asks('/readyz')).status === 200 ? 1 : undefined,
  )
  t.comment(`${looks} looks, each found a network that loads`)
})

t.test('two installers at once', async (t) => {
  const node = await nodeFor(t)
  put(join(node.netDir, '10-main.conflist'), primary())
  const both = [start(t, node), start(t, node)] as const
  await Promise.all(both.map((one) => one.ready()))
  for (let round = 1; round <= 3; round++) {
    put(join(node.netDir, '10-main.conflist'), primary(round))
    await until('our entry', async () => {
      return types(load(node)).includes('sidecar-cni') ? true : undefined
    })
    t.strictSame(types(load(node)), ['bridge', 'portmap', 'sidecar-cni'])
  }
  both[0].child.kill('SIGTERM')
  t.equal(await both[0].ended, 0)
  await until('the socket of the other one', async () => {
    return readdirSync(node.runDir).includes('log.sock') ? true : undefined
  })
  await until('readiness', async () =>
    (await both[1].asks('/readyz')).status === 200 ? 1 : undefined,
  )
  t.strictSame(drafts(node), [])
})

t.test('the primary’s file is broken', async (t) => {
  const node = await nodeFor(t)
  const list = join(node.netDir, '10-main.conflist')
  put(list, '{"name": "k8s-pod-network", "plugins": [{"type": "bri')
  const running = start(t, node)
  const answer = await until('a word about it', async () => {
    const found = await running.asks('/readyz')
    return found.text.includes('10-main.conflist') ? found : undefined
  })
  t.equal(answer.status, 503)
  t.match(answer.text, /10-main\.conflist is no JSON object/)
  t.strictSame(readdirSync(node.netDir), ['10-main.conflist'], 'nothing was put beside it')
  put(list, primary())
  await running.ready()
  put(list, 'half')
  await until('that it is gone', async () =>
    (await running.asks('/readyz')).status === 503 ? 1 : undefined,
  )
  t.equal(readFileSync(list, 'utf8'), 'half', 'it is the primary’s to repair')
  put(list, primary(9000))
  await until('readiness', async () =>
    (await running.asks('/readyz')).status === 200 ? 1 : undefined,
  )
  t.strictSame(types(load(node)), ['bridge', 'portmap', 'sidecar-cni'])
})

const isRoot = process.getuid?.() === 0
const mounts = need(isRoot ? undefined : 'needs root: mounts of a small tmpfs')

/** Puts a small file system over a directory. */
function mount(t: Test, folder: string, options: string): void {
  const made = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'cni-test', folder])
  t.equal(made.status, 0, String(made.stderr))
  t.teardown(() => spawnSync('umount', ['-l', folder]))
}

t.test('full and read-only disks', mounts, async (t) => {
  t.test('no room for the list', async (t) => {
    const node = await nodeFor(t)
    mount(t, node.netDir, 'size=16k')
    const list = join(node.netDir, '10-main.conflist')
    put(list, primary())
    const text = readFileSync(list, 'utf8')
    fill(join(node.netDir, 'filler'))
    const running = start(t, node)
    t.equal(await running.ended, 1, 'it ends, so that people see it')
    t.match(running.log(), /ENOSPC.*the disk is full; what was there stays/)
    t.equal(readFileSync(list, 'utf8'), text)
    t.strictSame(drafts(node), [])
    spawnSync('rm', [join(node.netDir, 'filler')])
    await start(t, node).ready()
    t.strictSame(types(load(node)), ['bridge', 'portmap', 'sidecar-cni'])
  })

  t.test('no room for the executable', async (t) => {
    const node = await nodeFor(t)
    put(join(node.netDir, '10-main.conflist'), primary())
    mount(t, node.binDir, 'size=64k')
    for (const name of ['bridge', 'portmap']) {
      writeFileSync(join(node.binDir, name), '#!/bin/sh\n', { mode: 0o755 })
    }
    writeFileSync(node.source, pluginText('large', 1024))
    const running = start(t, node)
    t.equal(await running.ended, 1)
    t.match(running.log(), /ENOSPC/)
    t.strictSame(types(load(node)), ['bridge', 'portmap'], 'no entry without an executable')
    t.strictSame(readdirSync(node.binDir).sort(), ['bridge', 'portmap'])
  })

  t.test('a read-only directory of executables', async (t) => {
    const node = await nodeFor(t)
    put(join(node.netDir, '10-main.conflist'), primary())
    mount(t, node.binDir, 'size=64k')
    for (const name of ['bridge', 'portmap']) {
      writeFileSync(join(node.binDir, name), '#!/bin/sh\n', { mode: 0o755 })
    }
    spawnSync('mount', ['-o', 'remount,ro', node.binDir])
    const running = start(t, node)
    t.equal(await running.ended, 1)
    t.match(running.log(), /EROFS.*CNI bin directory of this platform/)
    t.strictSame(types(load(node)), ['bridge', 'portmap'])
  })

  t.test('a read-only configuration', async (t) => {
    const node = await nodeFor(t)
    mount(t, node.netDir, 'size=64k')
    put(join(node.netDir, '10-main.conflist'), primary())
    spawnSync('mount', ['-o', 'remount,ro', node.netDir])
    const running = start(t, node)
    t.equal(await running.ended, 1)
    t.match(running.log(), /EROFS.*is the directory mounted writable/)
    t.strictSame(types(load(node)), ['bridge', 'portmap'])
  })
})

/** Writes until nothing more goes in. */
function fill(path: string): void {
  mkdirSync(join(path, '..'), { recursive: true })
  spawnSync('dd', ['if=/dev/zero', `of=${path}`, 'bs=1k', 'count=64'])
  if (statSync(path).size === 0) throw new Error('the file system took nothing')
}
