import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeJournal } from '../../cni-plugin/log.ts'
import { printCniConfig } from '../../cni-plugin/page.ts'
import { call, confWith, envWith } from './plugin.ts'

const written: string[] = []

function runDir(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'cni-log-'))
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  return folder
}

/** A log of one call with two lines, handed over. Milliseconds that this took. */
async function ship(folder: string): Promise<number> {
  const journal = makeJournal(
    (line) => written.push(line),
    () => new Date(0),
  )
  journal.configure({ logLevel: 'info', runDir: folder })
  journal.name({ pod: 'a/b' })
  journal.log('debug', 'not logged')
  journal.log('info', 'one', { netns: '/x\n{"level":"error"}' })
  journal.log('warn', 'two')
  const started = performance.now()
  await journal.ship()
  return performance.now() - started
}

async function collector(t: Test, folder: string, listener: RequestListener): Promise<void> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(join(folder, 'log.sock'), resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
}

const fileOf = (folder: string): string => join(folder, 'sidecar-cni.log')

t.test('lines go to the collector of the node, one JSON object each', async (t) => {
  const folder = runDir(t)
  const bodies: unknown[] = []
  await collector(t, folder, (request, response) => {
    let body = ''
    request.on('data', (data: Buffer) => (body += data.toString()))
    request.on('end', () => {
      bodies.push([request.method, request.url, JSON.parse(body)])
      response.end()
    })
  })
  await ship(folder)
  const time = '1970-01-01T00:00:00.000Z'
  t.strictSame(bodies, [
    [
      'POST',
      '/log',
      [
        JSON.stringify({
          level: 'info',
          time,
          msg: 'one',
          pod: 'a/b',
          netns: '/x\n{"level":"error"}',
        }),
        JSON.stringify({ level: 'warn', time, msg: 'two', pod: 'a/b' }),
      ],
    ],
  ])
  t.throws(() => statSync(fileOf(folder)), 'and to no file then')
})

t.test('where nobody takes them they go to a file, soon', async (t) => {
  const stalled = runDir(t)
  await collector(t, stalled, () => undefined)
  const refusing = runDir(t)
  await collector(t, refusing, (_request, response) => response.writeHead(500).end())
  const empty = runDir(t)
  for (const folder of [stalled, refusing, empty]) {
    t.ok((await ship(folder)) < 1_000)
    t.equal(readFileSync(fileOf(folder), 'utf8').split('\n').length, 3)
  }
})

t.test('the file makes room, and one older file is kept', async (t) => {
  const folder = runDir(t)
  await ship(folder)
  truncateSync(fileOf(folder), 11 * 1024 * 1024)
  await ship(folder)
  t.equal(statSync(`${fileOf(folder)}.1`).size, 11 * 1024 * 1024)
  t.ok(statSync(fileOf(folder)).size < 1_000)
})

t.test('a log that cannot be written stops nothing', async (t) => {
  const folder = runDir(t)
  mkdirSync(fileOf(folder))
  await ship(folder)
  await ship('/proc/nobody/writes/here')
  await ship('/etc/hostname/x')
  t.pass()
})

t.test('what came in is not in the log, whatever was wrong with it', async (t) => {
  const secret = 's3cr3t'
  const conf = {
    log_level: 'debug',
    on_error: 'warn',
    kubernetes: { token: secret },
    args: { cni: { secret } },
  }
  const inputs = [
    confWith({ 'my.annotation': secret }, conf),
    confWith({ 'my.annotation': secret, 'kubernetes.io/config.source': 'api' }, conf),
    `{"token":"${secret}`,
  ]
  for (const stdin of inputs) {
    for (const command of ['ADD', 'CHECK', 'DEL']) {
      const { stdout, log } = await call(
        envWith({ CNI_COMMAND: command, CNI_NETNS: '/proc/self/ns/net' }),
        stdin,
      )
      t.notMatch(stdout + JSON.stringify(log), new RegExp(secret), command)
    }
  }
})

t.test('the reference page is the one that the tables print', async (t) => {
  const page = join(import.meta.dirname, '../../docs/reference/cni-config.md')
  t.equal(readFileSync(page, 'utf8'), printCniConfig(), 'npm run reference')
})
