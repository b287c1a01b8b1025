import { spawnSync } from 'node:child_process'
import t from 'tap'
import { need } from '../require.ts'
import { AT, buildProgram, firstLine, kernelUnavailable, makeLab, type Lab } from './lab.ts'
import { callAs, listen, type Answer } from './traffic.ts'

const FLAGS = [
  ...['-u', '0', '-g', '1337', '-m', 'TPROXY', '-i', '*', '-b', '*', '-d', '15021', '--dual-stack'],
  ...['--drop-invalid'],
]

/** Node cannot open a transparent socket; the proxy can. */
const PROXY = `
import socket, threading
def serve(family, port):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.setsockopt(socket.IPPROTO_IPV6, 75, 1)
    else:
        s.setsockopt(socket.SOL_IP, 19, 1)
    s.bind(('::' if family == socket.AF_INET6 else '0.0.0.0', port))
    s.listen(64)
    def loop():
        while True:
            c, peer = s.accept()
            c.sendall(('{"port": %d, "seen": "%s"}' % (port, peer[0])).encode())
            c.close()
    threading.Thread(target=loop, daemon=True).start()
for family in (socket.AF_INET, socket.AF_INET6):
    serve(family, 15006)
print('ready', flush=True)
threading.Event().wait()
`

function pythonUnavailable(): string | undefined {
  const missing = spawnSync('python3', ['--version']).error !== undefined
  return (
    kernelUnavailable() ?? (missing ? 'needs python3: it opens transparent sockets' : undefined)
  )
}

const backends = [
  { name: 'iptables-nft', flags: ['--force-iptables-binary', 'nft'] },
  { name: 'iptables-legacy', flags: ['--force-iptables-binary', 'legacy'] },
  { name: 'native nftables', flags: ['--native-nftables'] },
] as const

t.test('TPROXY keeps the source of a connection', need(pythonUnavailable()), async (t) => {
  const program = await buildProgram()
  t.teardown(program.remove)
  for (const backend of backends) {
    t.test(backend.name, async (t) => {
      const lab = makeLab()
      t.teardown(lab.close)
      const args = [program.path, ...FLAGS, ...backend.flags]
      const applied = lab.run('pod', process.execPath, args)
      t.strictSame({ code: applied.code }, { code: 0 }, applied.stderr)
      await firstLine(lab.start('pod', 'python3', ['-c', PROXY], { uid: 0, gid: 1337 }))
      await Promise.all([listen(lab, 'pod', [15001, 15021, 8080]), listen(lab, 'world', [9000])])
      const world = callAs(lab, 'world', { uid: 0, gid: 0 }, [
        { to: AT.v4.pod, port: 8080 },
        { to: AT.v6.pod, port: 8080 },
        { to: AT.v4.pod, port: 15021 },
      ])
      const app = callAs(lab, 'pod', { uid: 1000, gid: 1000 }, [
        { to: AT.v4.near, port: 9000 },
        { to: AT.v4.pod, port: 8080 },
      ])
      const want: readonly Answer[] = [
        { port: 15006, seen: AT.v4.gate },
        { port: 15006, seen: AT.v6.gate },
        { port: 15021, seen: AT.v4.gate },
        { port: 15001, seen: AT.v4.pod },
        { port: 8080, seen: AT.v4.pod },
      ]
      t.strictSame([...world, ...app], want)
      t.strictSame(routes(lab), { rules: 2, routes: 2 }, 'routes are there')
      const again = lab.run('pod', process.execPath, args)
      t.strictSame(
        { code: again.code, ...routes(lab) },
        { code: 0, rules: 2, routes: 2 },
        'and only once',
      )
      const cleaned = lab.run('pod', process.execPath, [program.path, '--cleanup-only'])
      t.strictSame(
        { code: cleaned.code, ...routes(lab) },
        { code: 0, rules: 0, routes: 0 },
        cleaned.stderr,
      )
    })
  }
})

function routes(lab: Lab): { readonly rules: number; readonly routes: number } {
  const count = (pattern: RegExp, ...args: readonly string[]): number =>
    lab
      .run('pod', 'ip', args)
      .stdout.split('\n')
      .filter((line) => pattern.test(line)).length
  return {
    rules: count(/fwmark/, '-4', 'rule') + count(/fwmark/, '-6', 'rule'),
    routes:
      count(/^local default/, '-4', 'route', 'show', 'table', '133') +
      count(/^local default/, '-6', 'route', 'show', 'table', '133'),
  }
}
