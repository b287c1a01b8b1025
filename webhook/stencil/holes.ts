/**
 * Which texts of an AdmissionReview are holes: injection copies them, or passes them over, and asks nothing of them
 * but what their grammar says. Everything else is part of a review's shape.
 */
import type { InjectConfig } from '../../core/inject/config.ts'
import { isArray, isObject, type JsonObject } from '../../core/json.ts'

/** What a hole takes. A text that does not fit is part of the shape. */
export type Grammar = keyof typeof GRAMMARS

/**
 * How one place is taken: `exact` with all below it, `free` for texts that never come out, `token` for the name of
 * the account's token, `namespace` for a text that may repeat that of the request, `owner` for the name of a
 * controller, `list` for all of a list that injection does not get to see.
 */
export type Rule =
  | 'exact'
  | 'free'
  | 'token'
  | 'namespace'
  | 'owner'
  | 'list'
  | Grammar
  | { readonly fields: ReadonlyMap<string, Rule>; readonly never?: Never }
  | { readonly each: Rule }
  | { readonly members: Rule; readonly isExact: (key: string) => boolean }

/** Whether an object is such that a review with it gets no stencil. */
type Never = (object: JsonObject) => boolean

/** How reviews are taken under one configuration. */
export type Rules = {
  readonly review: Rule
  /** Whether a namespace is asked about by its name. */
  readonly isKnownNamespace: (namespace: string) => boolean
}

type GrammarRow = {
  readonly fits: (text: string) => boolean
  /** Texts that fit, which code that looks into them would treat apart; the shortest and the longest among them. */
  readonly extremes: readonly string[]
  /** A text that fits, and that nothing else contains. */
  readonly mark: (number: number) => string
}

const NAME = /^[A-Za-z0-9](?:[-.\w]{0,61}[A-Za-z0-9])?$/
const PREFIX = /^[a-z0-9][-.a-z0-9]{0,61}-$/
const UID = /^[-\w]{1,64}$/
const PATH = /^\/[-.~/\w]{0,200}$/
const TEXT = /^[ !#-%'-;=?-[\]-~]{1,256}$/
/** What stands between words in all the little languages of annotations. */
const SIGNS = "%'{}[]$()*+,-./:;=?@^_`|~ #!"
const TOKEN = /^kube-api-access-[a-z0-9]{5}$/
const TOKEN_START = 'kube-api-access-'

/** Texts of all the kinds that somebody may look for in a name: a number, a word that means something, a list. */
const NAMES = [
  'q',
  `A${'.-_9'.repeat(15)}-z`,
  '15001',
  '0',
  'true',
  'istio-proxy',
  'default',
  'a.b_c-d',
]

/** The grammars. No text that fits one holds a character that JSON or Go's JSON escapes. */
export const GRAMMARS = {
  /** A name or the value of a label. */
  name: {
    fits: (text) => NAME.test(text),
    extremes: NAMES,
    mark: (number) => `zqx${number}xqz`,
  },
  /** What the API server makes a name of. */
  prefix: {
    fits: (text) => PREFIX.test(text),
    extremes: [
      'q-',
      `a${'.9-'.repeat(20)}-`,
      '15001-',
      '0-',
      'true-',
      'istio-proxy-',
      'a--',
      'a.b-c-',
    ],
    mark: (number) => `zqr${number}rqz-`,
  },
  uid: {
    fits: (text) => UID.test(text),
    extremes: ['q', 'A-_9'.repeat(16), '15001', '0', 'true', 'istio-proxy', '-', '_'],
    mark: (number) => `zqx${number}xqz`,
  },
  /** A path of a probe. One that an earlier injection wrote is not taken. */
  path: {
    fits: (text) => PATH.test(text) && !text.includes('app-health'),
    extremes: [
      '/',
      `/${'~a.-_/'.repeat(33)}`,
      '/15001',
      '/0',
      '/true',
      '//istio-proxy',
      '/a/',
      '/..',
    ],
    mark: (number) => `/zqp${number}pqz`,
  },
  /** Text of an annotation. */
  text: {
    fits: (text) => TEXT.test(text),
    extremes: [' ', SIGNS.repeat(8), '15001', '0', 'true', 'istio-proxy', 'a=b,c:1;d', '{[x:y@z]}'],
    mark: (number) => `zqx${number}xqz`,
  },
  /** The name under which the API server mounts the token of the account: another one in each pod. */
  access: {
    fits: (text) => TOKEN.test(text),
    extremes: ['aaaaa', 'zzzzz', '15001', '00000', 'true0', 'istio', 'a0a0a', '0a0a0'].map(
      tokenName,
    ),
    mark: (number) => tokenName(`zq${String(number).padStart(3, '0')}`),
  },
} as const satisfies Readonly<Record<string, GrammarRow>>

/** Groups of `MARK`. */
export const MARK_GROUPS = 4

/** Finds the marks in a text, each with its number in one of its groups; a free hole has none. */
export const MARK = /zqx(\d*)xqz|\/zqp(\d+)pqz|zqr(\d+)rqz-|kube-api-access-zq(\d{3})/

/** In the place of a text that must not come out. */
export const FREE_MARK = 'zqxxqz'

/** The extremes of such a text, not yet escaped for JSON. */
export const FREE_EXTREMES: readonly string[] = [
  '',
  `"\\\n\u0000<&>\u2028\ud800é${'$(POD_NAME) {{x}} '.repeat(20)}`,
  '15001',
  '1500m',
  'true',
  'registry:5000/istio/proxyv2:1.2@sha256:a,b=c;d e',
  '/app-health/istio-proxy/livez',
  'auto',
]

/** In the place of a list that must not come out. */
export const LIST_MARK = JSON.stringify([{ [FREE_MARK]: FREE_MARK }])

/** The extremes of such a list, as they stand in JSON. */
export const LIST_EXTREMES: readonly string[] = [
  '[]',
  '[{}]',
  `[${'{"manager":"kubelet","fieldsV1":{"f:spec":{"k:{\\"name\\":\\"istio-proxy\\"}":{}}}},'.repeat(50)}{}]`,
  '[null]',
  '[15001,"istio-proxy",true]',
  '[{"manager":"a","manager":"b","__proto__":{"name":"c"},"constructor":{"prototype":null}}]',
  '[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]',
  '[ {"time" : "2026-01-01T00:00:00Z"} , "<&>\\u2028\\ud800" ]',
]

function tokenName(suffix: string): string {
  return `${TOKEN_START}${suffix}`
}

/** Whether JSON, or JSON in its texts, may name the token of an account, in whatever spelling. */
export function mayNameToken(json: string): boolean {
  const plain = json.replace(/\\+u([\da-f]{4})/gi, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  )
  return plain.includes(TOKEN_START)
}

/**
 * How reviews are taken under a configuration; undefined where a template is the operator's own: it may compare
 * any text with any other.
 */
export function rulesOf(config: InjectConfig): Rules | undefined {
  const { templates, declarations, policy, proxyConfigs, injectedAnnotations, values, mesh } =
    config
  const isOurs = (name: string): boolean => declarations.get(name)?.isBuiltIn === true
  if (![...templates.keys()].every(isOurs)) return undefined
  const { neverInjectSelector, alwaysInjectSelector, ignoredNamespaces } = policy
  const selectors = [neverInjectSelector, alwaysInjectSelector, proxyConfigs]
  const asked = JSON.stringify([...selectors, injectedAnnotations])
  const known = new Set([...ignoredNamespaces, values.global.istioNamespace, mesh.rootNamespace])
  return {
    review: reviewRule({
      isExact: (key) => isSteering(key) || asked.includes(key),
      // The conventions of OpenTelemetry read the version out of an image.
      image: mesh.hasOtelConventions ? 'exact' : 'free',
    }),
    isKnownNamespace: (namespace) => proxyConfigs.length > 0 || known.has(namespace),
  }
}

/** Whether a label or an annotation steers injection, or may: what it says is part of the shape. */
export function isSteering(key: string): boolean {
  return STEERING.test(key)
}

const STEERING =
  /istio|envoy|prometheus|kubectl|k8s\.v1\.cni|opentelemetry|datadog|openshift|sidecar-injector|rollouts-pod-template-hash|kubernetes\.io\/config/

/** The label with the hash that the Deployment controller puts behind the name of a ReplicaSet. */
export const HASH_LABEL = 'pod-template-hash'

/** What a configuration settles. */
type Settled = { readonly isExact: (key: string) => boolean; readonly image: Rule }

function reviewRule({ isExact, image }: Settled): Rule {
  const map = (members: Rule): Rule => ({ members, isExact })
  const containers: Rule = { each: containerRule(image) }
  const metadata = fields(
    {
      name: 'name',
      generateName: 'prefix',
      namespace: 'namespace',
      uid: 'free',
      labels: map('name'),
      annotations: map('text'),
      ownerReferences: { each: fields({ name: 'owner', uid: 'free' }) },
      // Who wrote what, by the second and by the uid of the owner: review.ts leaves it out.
      managedFields: 'list',
    },
    hasStrangeOwner,
  )
  const spec = fields(
    {
      containers,
      initContainers: containers,
      volumes: { each: VOLUME },
      serviceAccountName: 'name',
      serviceAccount: 'name',
      hostname: 'free',
    },
    // Then what each container asks for is added up.
    ({ resources }) => resources !== undefined,
  )
  const request = fields({
    uid: 'uid',
    name: 'free',
    namespace: 'namespace',
    userInfo: 'free',
    object: fields({ metadata, spec }),
  })
  return fields({ request })
}

/** Whether there is a hash beside an owner that it does not belong to: a Job's name, too, is followed by its end. */
function hasStrangeOwner({ labels, ownerReferences }: JsonObject): boolean {
  if (!isObject(labels) || !Object.hasOwn(labels, HASH_LABEL)) return false
  const owners = isArray(ownerReferences) ? ownerReferences : []
  return owners.some((owner) => !isObject(owner) || owner['kind'] !== 'ReplicaSet')
}

/** A container of the application's own; those of the mesh are looked into. */
function containerRule(image: Rule): Rule {
  return fields(
    {
      image,
      command: 'free',
      args: 'free',
      workingDir: 'free',
      env: { each: fields({ value: 'free', valueFrom: 'free' }) },
      envFrom: 'free',
      resources: 'free',
      volumeMounts: { each: fields({ name: 'token' }) },
      livenessProbe: PROBE,
      readinessProbe: PROBE,
      startupProbe: PROBE,
    },
    ({ name }) => typeof name !== 'string' || name.startsWith('istio-'),
  )
}

const PROBE = fields({ httpGet: fields({ path: 'path' }), exec: 'free' })

const VOLUME = fields({
  name: 'token',
  configMap: fields({ name: 'free' }),
  secret: fields({ secretName: 'free' }),
  persistentVolumeClaim: fields({ claimName: 'free' }),
})

function fields(rules: Readonly<Record<string, Rule>>, never?: Never): Rule {
  const map = new Map(Object.entries(rules))
  return never === undefined ? { fields: map } : { fields: map, never }
}
