/** One webhook that an injector is asked by: the chain to it, a review, a pod, and what stands behind it. */
import type { Api } from '../cluster/api.ts'
import type { Dial } from '../cluster/dial.ts'
import { foundOr, lookAt, lookThrough } from '../cluster/look.ts'
import { at, mapAt, nameOf, objectsAt, textAt, textsAt } from '../cluster/members.ts'
import { reachOf, type Reach } from '../cluster/reach.ts'
import { printEntry, type GateClient, type GateEntry } from '../core/gates/entry.ts'
import { readSelector, selects } from '../core/inject/selectors.ts'
import { isObject, type JsonObject } from '../core/json.ts'
import type { Ask, Asked } from './ask.ts'
import type { Finding } from './finding.ts'
import { tryPod, type Trial } from './trial.ts'

/** How the world is asked. */
export type World = { readonly dial: Dial; readonly ask: Ask; readonly now: Date }

/** Everything about one webhook. `trial` is a pod that it takes; undefined where there can be none. */
export async function examineWebhook(
  api: Api,
  entry: GateEntry,
  trial: Trial | undefined,
  world: World,
): Promise<readonly Finding[]> {
  const webhook = printEntry(entry)
  const [reach, tried] = await Promise.all([
    reachOf(api, entry, world.dial, world.now),
    trial === undefined ? undefined : tryPod(api, entry, trial),
  ])
  const reviewed = await reviewAt(reach, entry, trial, world.ask)
  const behind = entry.client.by === 'service' ? await examineReplicas(api, entry.client) : []
  const links = reach.links.map(({ link, state, sentence }): Finding => {
    // What the API server can do counts, not what this machine can.
    const isElsewhere = link === 'connection' && tried?.state === 'ok'
    const told = state === 'broken' && !isElsewhere ? 'not-ok' : state === 'ok' ? 'ok' : 'unknown'
    return { check: link, state: told, sentence, webhook }
  })
  const untried: Finding = {
    check: 'trial',
    state: 'unknown',
    sentence: 'no namespace has the labels that it wants, so that no pod could be tried',
  }
  const rest = [...reviewed, tried ?? untried, ...behind]
  return [...links, ...rest.map((finding) => ({ webhook, ...finding }))]
}

/** Posts a review where what listens there can be reached and was verified. */
async function reviewAt(
  { links, places }: Reach,
  entry: GateEntry,
  trial: Trial | undefined,
  ask: Ask,
): Promise<readonly Finding[]> {
  const isVerified = links.some(({ link, state }) => link === 'certificate' && state === 'ok')
  const [place] = places
  if (!isVerified || place === undefined || trial === undefined) return []
  return [judgeReview(await ask(place, entry, trial.pod), entry)]
}

function judgeReview(asked: Asked, { timeoutSeconds }: GateEntry): Finding {
  const check = 'review'
  switch (asked.kind) {
    case 'late': {
      const sentence = `it does not answer within its timeoutSeconds, ${timeoutSeconds} s`
      return { check, state: 'not-ok', sentence }
    }
    case 'failed':
      return { check, state: 'unknown', sentence: `a review got no answer: ${asked.why}` }
    case 'answered': {
      const { status, body } = asked
      if (status === 401 || status === 403) {
        const sentence = 'it answers only to API servers, by their certificates'
        return { check, state: 'unknown', sentence }
      }
      const words = body.trim()
      if (status !== 200) {
        return {
          check,
          state: 'not-ok',
          sentence: `it answers with an error: HTTP ${status} ${words}`,
        }
      }
      return judgeAnswer(words)
    }
  }
}

function judgeAnswer(body: string): Finding {
  const check = 'review'
  const answer = at(parse(body), 'response')
  if (!isObject(answer)) {
    return { check, state: 'not-ok', sentence: 'it answers with no AdmissionReview' }
  }
  const message = textAt(answer, 'status', 'message')
  if (answer['allowed'] !== true) {
    return { check, state: 'not-ok', sentence: `it denies the pod: ${message}` }
  }
  return answer['patch'] === undefined
    ? { check, state: 'unknown', sentence: 'it answers, and leaves the pod alone' }
    : { check, state: 'ok', sentence: 'it answers a review with a sidecar' }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Pods that are looked at one by one. */
const MOST_REPLICAS = 5
/** Seconds for the page of a replica. */
const PAGE_SECONDS = 3
/** Where our replicas tell their readiness. */
const MONITORING_PORT = 15014

/** The pods behind a Service: who is not ready, in its own words, and who may connect. */
async function examineReplicas(
  api: Api,
  { namespace, name }: Extract<GateClient, { by: 'service' }>,
): Promise<readonly Finding[]> {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}`
  const service = foundOr(await lookAt(api, `${path}/services`, name), {})
  const selector = at(service, 'spec', 'selector')
  const wanted = readSelector('', { matchLabels: selector })
  if (!isObject(selector) || !wanted.ok) return []
  const listed = await lookThrough(api, { path: `${path}/pods` })
  if (listed.kind !== 'found') {
    const why = listed.kind === 'unseen' ? listed.why : 'none'
    return [{ check: 'replicas', state: 'unknown', sentence: `pods of ${namespace}: ${why}` }]
  }
  const pods = listed.value.filter((pod) => selects(wanted.value, mapAt(pod, 'labels')))
  const unready = pods.filter((pod) => !isReady(pod))
  const told = await Promise.all(
    unready.slice(0, MOST_REPLICAS).map((pod) => whyUnready(api, path, pod)),
  )
  const sentence =
    pods.length === 0
      ? `no pod of ${namespace} has the labels that the Service ${name} selects`
      : `${pods.length - unready.length} of ${pods.length} replicas are ready`
  const isWell = pods.length > 0 && unready.length === 0
  return [
    {
      check: 'replicas',
      state: isWell ? 'ok' : 'not-ok',
      sentence: [sentence, ...told].join('; '),
    },
    ...(await examinePolicies(api, namespace, pods)),
  ]
}

function isReady(pod: JsonObject): boolean {
  return objectsAt(pod, 'status', 'conditions').some(
    ({ type, status }) => type === 'Ready' && status === 'True',
  )
}

/** What a replica says of itself, through the API server; else what the kubelet says of it. */
async function whyUnready(api: Api, path: string, pod: JsonObject): Promise<string> {
  const name = nameOf(pod)
  const states = objectsAt(pod, 'status', 'containerStatuses').flatMap(({ state }) =>
    ['waiting', 'terminated'].map((key) => textAt(state, key, 'reason')).filter(Boolean),
  )
  if (states.length > 0) return `${name}: ${states.join(', ')}`
  const page = `${path}/pods/${encodeURIComponent(name)}:${MONITORING_PORT}/proxy/ready`
  const answer = await api.call({ path: page, seconds: PAGE_SECONDS }).catch(() => undefined)
  const lines = typeof answer?.body === 'string' ? answer.body.split('\n') : []
  const own = lines.filter((line) => line.startsWith('not ready: '))
  const phase = textAt(pod, 'status', 'phase')
  return `${name}: ${own.length > 0 ? own.join(', ') : phase || 'not ready'}`
}

/** NetworkPolicies that would keep API servers out: a hint, because only the network can tell. */
async function examinePolicies(
  api: Api,
  namespace: string,
  pods: readonly JsonObject[],
): Promise<readonly Finding[]> {
  const listed = await lookThrough(api, {
    path: `/apis/networking.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/networkpolicies`,
  })
  const policies = foundOr(listed, []).filter(({ spec }) => {
    const selector = readSelector('', at(spec, 'podSelector'))
    return (
      textsAt(spec, 'policyTypes').includes('Ingress') &&
      selector.ok &&
      pods.some((pod) => selects(selector.value, mapAt(pod, 'labels')))
    )
  })
  if (policies.length === 0) return []
  const names = policies.map(nameOf).join(', ')
  const isOpen = policies.some((policy) =>
    objectsAt(policy, 'spec', 'ingress').some((rule) => objectsAt(rule, 'from').length === 0),
  )
  const sentence = isOpen
    ? `NetworkPolicy ${names} lets anybody connect to the ports that it names`
    : `NetworkPolicy ${names} names who may connect, and API servers come from addresses that no selector can name`
  return [{ check: 'network-policy', state: isOpen ? 'ok' : 'unknown', sentence }]
}
