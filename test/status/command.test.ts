/** The commands `status` and `doctor` by themselves: flags, usage, their pages, and words of API servers. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import t from 'tap'
import { doctorCommand } from '../../status/doctor-command.ts'
import { CHECKS, firstCause, type Finding } from '../../status/finding.ts'
import { statusCommand } from '../../status/status-command.ts'
import { readFailedCall } from '../../status/words.ts'

const reference = join(import.meta.dirname, '../../docs/reference')
const PAGES = [
  { page: 'status.md', command: statusCommand() },
  { page: 'doctor.md', command: doctorCommand() },
]

for (const { page, command } of PAGES) {
  t.test(page, async (t) => {
    const text = readFileSync(join(reference, page), 'utf8')
    const documented = [...text.matchAll(/^\| (?:`-\w`, )?`(--[\w-]+)/gm)].map(([, flag]) => flag)
    t.strictSame(
      documented,
      command.options.map(({ long }) => long),
      'every flag, in the order of --help, and no other',
    )
  })
}

t.test('every check is on the page, in the order in which it counts', async (t) => {
  const text = readFileSync(join(reference, 'doctor.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `([a-z][\w-]+)` \| /gm)].map(([, check]) => check)
  t.strictSame(
    rows,
    CHECKS.map(({ check }) => check),
  )
})

t.test('wrong usage', async (t) => {
  const rows: readonly { readonly command: () => Command; readonly args: readonly string[] }[] = [
    { command: statusCommand, args: ['-o', 'yaml'] },
    { command: statusCommand, args: ['shop'] },
    { command: doctorCommand, args: ['--output', 'sarif'] },
    { command: doctorCommand, args: ['a/b', 'c/d'] },
  ]
  for (const { command, args } of rows) {
    const quiet = command()
      .exitOverride()
      .configureOutput({ writeErr: () => undefined })
    await t.rejects(
      quiet.parseAsync(args, { from: 'user' }),
      { code: /^commander\./ },
      args.join(' '),
    )
  }
})

t.test('the cause is the first check that is not ok, not the first that was made', async (t) => {
  const finding = (check: Finding['check'], state: Finding['state']): Finding => {
    return { check, state, sentence: check }
  }
  const findings = [
    finding('clock', 'not-ok'),
    finding('trial', 'not-ok'),
    finding('service', 'unknown'),
    finding('endpoints', 'not-ok'),
  ]
  t.equal(firstCause(findings)?.check, 'endpoints')
  t.equal(firstCause([finding('service', 'unknown')]), undefined)
})

/** Words of kube-apiserver and of Go's net, tls and x509, as seen in the field. */
const POST = 'failed to call webhook: Post "https://x.y.svc:443/inject?timeout=5s": '
const WORDS: readonly (readonly [why: string, sentence: string])[] = [
  [`failed to call webhook: Post "…": service "x" not found`, 'there is no Service x'],
  [`${POST}no service port 444 found for service "x"`, 'the Service x has no port 444'],
  [`${POST}no endpoints available for service "x"`, 'no ready endpoint is behind the Service x'],
  [
    `${POST}tls: failed to verify certificate: x509: certificate is valid for a.b.svc, c, not x.y.svc`,
    'the served certificate is not for x.y.svc, but for a.b.svc, c',
  ],
  [
    `${POST}tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-01-02T00:00:00Z is after 2026-01-01T00:00:00Z`,
    'the served certificate has expired: current time 2026-01-02T00:00:00Z is after 2026-01-01T00:00:00Z',
  ],
  [
    `${POST}tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-01-01T00:00:00Z is before 2026-01-02T00:00:00Z`,
    'the served certificate is not valid yet, so that clocks differ: current time 2026-01-01T00:00:00Z is before 2026-01-02T00:00:00Z',
  ],
  [
    `${POST}tls: failed to verify certificate: x509: certificate signed by unknown authority`,
    'its caBundle does not verify what it serves: signed by an unknown authority',
  ],
  [
    `${POST}dial tcp 10.0.0.7:443: connect: connection refused`,
    'nobody listens at 10.0.0.7:443: connection refused',
  ],
  [
    `${POST}dial tcp 10.0.0.7:443: i/o timeout`,
    'the API server gets no connection to 10.0.0.7:443: a firewall, a NetworkPolicy, or nobody there',
  ],
  [`${POST}context deadline exceeded`, 'it does not answer within its timeoutSeconds'],
  [
    'failed to call webhook: an error on the server ("no config") has prevented the request from succeeding',
    'it answers with an error: "no config"',
  ],
  [`${POST}EOF`, 'it cuts the connection before it answers'],
  [`${POST}something new`, `${POST}something new`],
]

t.test("the API server's words", async (t) => {
  for (const [why, sentence] of WORDS) {
    const message = `Internal error occurred: failed calling webhook "a.sidecar-injector.io": ${why}`
    t.strictSame(readFailedCall(message), { webhook: 'a.sidecar-injector.io', sentence }, why)
  }
  t.equal(readFailedCall('pods "x" is forbidden: exceeded quota'), undefined)
})
