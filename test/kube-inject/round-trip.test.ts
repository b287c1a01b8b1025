/** Manifests as people write them: what injection adds is all that differs, and both doors add the same. */
import { readdirSync, readFileSync } from 'node:fs'
import { diffLines } from 'diff'
import t from 'tap'
import { injectPod } from '../../core/inject/inject.ts'
import { isArray, isObject, type Json } from '../../core/json.ts'
import { Refusal } from '../../core/problem.ts'
import { parseDocuments } from '../../core/yaml.ts'
import type { Setting } from '../../kube-inject/inject-document.ts'
import { injectText } from '../support/inject-text.ts'
import { configOf } from '../support/config.ts'
import { byWebhook, podsIn, workloads, type Found } from '../support/doors.ts'

const folder = new URL('../fixtures/round-trip/', import.meta.url)
const others = ['../fixtures/manifests/', '../fixtures/pods/'].map(
  (path) => new URL(path, import.meta.url),
)
const config = configOf({})
const setting: Setting = {
  inject: (request) => injectPod(request, config),
  nativeSidecars: false,
  namespace: 'shop',
  workloads,
}
const back: Setting = { ...setting, isWayBack: true }

/** Lines that give way, because injection overwrites something in them; every other one stays. */
const OVERWRITTEN: Readonly<Record<string, readonly string[]>> = {
  'anchors-shared-containers.yaml': ['          containers: *containers # as blue'],
  'empty-parts.yaml': ['      initContainers: ~'],
  'flow-in-block.yaml': ['      annotations: {}', '      volumes: []', '      initContainers: []'],
  'metrics.yaml': ['    prometheus.io/port: "9102"', '    prometheus.io/path: /metrics/app'],
  'own-proxy.yaml': ['        image: auto'],
  'probes.yaml': [
    '            path: /started # no auth',
    '            port: 8080',
    '          httpGet: {path: /ready, port: 8080} # cheap',
    '          tcpSocket:',
    '            port: 8080',
  ],
}

/** Where the way back gives the same meaning in other bytes, with what it gives for what. */
const RESTORED: Readonly<Record<string, readonly (readonly [was: string, is: string])[]>> = {
  'anchors-shared-containers.yaml': [
    [
      'containers: *containers # as blue',
      'containers: # as blue\n            - name: app\n              image: registry.example/app:5',
    ],
  ],
  'empty-parts.yaml': [
    ['      annotations:\n', ''],
    ['      volumes:\n      initContainers: ~\n', ''],
  ],
  'flow-in-block.yaml': [
    ['      annotations: {}\n', ''],
    ['      volumes: []\n', ''],
    ['      initContainers: []\n', ''],
  ],
  'json-hand-made.json': [[', "labels":{}', '']],
}

const textOf = (name: string): string => readFileSync(new URL(name, folder), 'utf8')
const files = readdirSync(folder).map((name) => {
  const text = textOf(name)
  return { name, text, injected: injectText(name, text, setting) }
})

t.test('the manifests are there, as odd as they should be', async (t) => {
  t.ok(files.length >= 60, `${files.length} files`)
  // An editor or a checkout that tidies them up would make the test say nothing.
  t.match(textOf('crlf-deployment.yaml'), /^# written on Windows\r\napiVersion/)
  t.ok(textOf('bom-crlf-comment.yaml').startsWith('\uFEFF#'))
  t.match(textOf('trailing-blanks.yaml'), 'kind: Deployment    \n')
  t.match(textOf('tabs-in-strings.yaml'), '\t\t@echo done\t\n')
  t.notOk(textOf('no-final-newline.yaml').endsWith('\n'))
  t.ok(textOf('block-scalar-at-end.yaml').endsWith('\n          \n\n'))
})

t.test('without what was added, it is the source byte for byte', async (t) => {
  for (const { name, text, injected } of files) {
    t.strictSame(goneLines(text, injected, name.endsWith('.json')), OVERWRITTEN[name] ?? [], name)
    t.equal(injectText(name, injected, setting), injected, `${name}: and again changes nothing`)
    if (name.includes('crlf')) t.notMatch(injected, /[^\r]\n/, `${name}: line breaks of one kind`)
  }
})

t.test('the way back gives the source byte for byte', async (t) => {
  for (const { name, text, injected } of files) {
    const wanted = (RESTORED[name] ?? []).reduce((all, [was, is]) => {
      t.ok(all.includes(was), `${name}: ${was} is in it`)
      return all.replace(was, is)
    }, text)
    t.equal(injectText(name, injected, back), wanted, name)
  }
})

t.test('the webhook makes of each pod what kube-inject makes of it', async (t) => {
  let count = 0
  for (const place of [folder, ...others]) {
    for (const name of readdirSync(place)) {
      const text = readFileSync(new URL(name, place), 'utf8')
      const before = podsOf(text)
      const after = podsOf(injectedOr(name, text))
      for (const [index, found] of before.entries()) {
        // What has no name never becomes a pod, and the webhook cannot know of a version that is gone.
        if (!isNamed(found) || found.object['apiVersion'] === 'batch/v1beta1') continue
        count++
        const wanted = byWebhook(found, config)
        t.strictSame(plain(after[index]?.pod), plain(wanted), `${name}: ${found.kind} ${index}`)
      }
    }
  }
  t.ok(count >= 120, `${count} pods`)
})

t.test('a file of 10 MB keeps its lines', async (t) => {
  const text = bigText()
  t.ok(text.length > 10_000_000, `${text.length} characters`)
  const injected = injectText('big.yaml', text, setting)
  const lines = injected.split('\n')
  let at = 0
  let lost = 0
  for (const line of text.split('\n')) {
    const found = lines.indexOf(line, at)
    if (found < 0) lost++
    else at = found + 1
  }
  t.equal(lost, 0, 'no line is lost, and all are in their order')
  t.equal(injected.split('- name: istio-proxy\n').length - 1, 8 + 11)
  t.equal(injectText('big.yaml', injected, back) === text, true, 'the way back gives the source')
})

/** Deployments among large texts, an object with many members, and a List with much text beside its pods. */
function bigText(): string {
  const lines = (count: number, indent: string): string =>
    Array.from(
      { length: count },
      (_, n) => `${indent}line-${n}: text, as a dashboard has it\n`,
    ).join('')
  const texts = Array.from({ length: 8 }, (_, n) => {
    const head = `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: big-${n}\ndata:\n`
    return `${head}  dashboard: |\n${lines(20_000, '    ')}`
  })
  const example = textOf('comments-everywhere.yaml')
  const pod = textOf('pod-bare.yaml').replace(/^/gm, '  ').trimEnd().replace('  kind', '- kind')
  const map = `- kind: X\n  text: |\n${lines(60_000, '    ')}  many:\n${lines(10_000, '    ')}`
  const list = `kind: List\napiVersion: v1\nitems:\n${`${pod}\n`.repeat(10)}${map}${pod}\n`
  return [...texts.flatMap((text) => [text, example]), list].join('---\n')
}

/**
 * The lines of the source that are not in the result, in order. A line to which something was only
 * added, as where braces got another member, is in it.
 */
function goneLines(before: string, after: string, isJson: boolean): readonly string[] {
  const gone: string[] = []
  const parts = diffLines(before, after)
  for (const [index, { removed, value }] of parts.entries()) {
    if (!removed) continue
    const next = parts[index + 1]
    const added = next?.added === true ? next.value.split('\n') : []
    let from = 0
    for (const line of value.replace(/\n$/, '').split('\n')) {
      const found = added.findIndex((one, place) => {
        // What goes into the middle of a line of JSON may bring lines with it.
        const grown = isJson ? added.slice(place).join('\n') : one
        return place >= from && isGrown(line, grown)
      })
      if (found < 0) gone.push(line.trimEnd())
      else from = found + 1
    }
  }
  return gone
}

/** Whether a line is another one with something added behind its beginning. */
function isGrown(line: string, grown: string): boolean {
  const beginning = /^\s*\S?/.exec(line)?.[0] ?? ''
  if (!grown.startsWith(beginning)) return false
  let at = 0
  for (const character of line) {
    at = grown.indexOf(character, at) + 1
    if (at === 0) return false
  }
  return true
}

function podsOf(text: string): readonly Found[] {
  return [...parseDocuments('f', text)].flatMap((read) => (read.ok ? podsIn(read.value.value) : []))
}

/** The injected text; empty where it is refused, as the webhook must refuse it too. */
function injectedOr(name: string, text: string): string {
  try {
    return injectText(name, text, setting)
  } catch (cause) {
    if (cause instanceof Refusal) return ''
    throw cause
  }
}

function isNamed({ object: { metadata } }: Found): boolean {
  return isObject(metadata) && (metadata['name'] ?? metadata['generateName']) !== undefined
}

/** Without members that are null, which mean the same as none. */
function plain(value: Json | undefined): Json {
  if (isArray(value)) return value.map((item) => plain(item))
  if (!isObject(value)) return value ?? null
  const members = Object.entries(value).filter(([, member]) => (member ?? null) !== null)
  return Object.fromEntries(members.map(([key, member]) => [key, plain(member)]))
}
