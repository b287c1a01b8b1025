/** Whether the API server can ask an entry now, as far as this machine can see: one link after another. */
import { X509Certificate } from 'node:crypto'
import { hostOf, type GateClient, type GateEntry } from '../core/gates/entry.ts'
import type { JsonObject } from '../core/json.ts'
import { formatProblem } from '../core/problem.ts'
import type { Api } from './api.ts'
import { checkSecret } from './ca-secret.ts'
import type { Dial } from './dial.ts'
import { printTime } from './history.ts'
import { foundOr, lookAt, lookThrough } from './look.ts'
import { at, objectsAt, textAt, textsAt } from './members.ts'
import { readBundle, whyUnverified, type Bundle } from './verify.ts'

/** One link of the chain from the API server to a webhook. `unknown` is what cannot be told from here. */
export type Link = {
  readonly link: 'service' | 'endpoints' | 'ca-bundle' | 'ca-secret' | 'connection' | 'certificate'
  readonly state: 'ok' | 'broken' | 'unknown'
  readonly sentence: string
}

/** How an entry's webhook stands. */
export type Reach = {
  /** `unknown` where nothing speaks against it and it could not be tried from here. */
  readonly state: 'answers' | 'down' | 'unknown'
  /** What keeps the API server from asking it, or that nothing does. */
  readonly sentence: string
  /** What was seen on the way, each a sentence. */
  readonly seen: readonly string[]
  /** The same by links; nothing is looked at behind a broken one. */
  readonly links: readonly Link[]
  /** Where it listens, as far as that is known here. */
  readonly places: readonly Place[]
}

/** Where a connection is made to. */
export type Place = { readonly address: string; readonly port: number }

/** Looks for the Service and what is behind it, shakes hands where that works, and verifies what is served. */
export async function reachOf(api: Api, entry: GateEntry, dial: Dial, now: Date): Promise<Reach> {
  const links: Link[] = []
  const places = await follow(api, entry, dial, now, links)
  const broken = links.find(({ state }) => state === 'broken')
  const seen = links.filter((link) => link !== broken).map(({ sentence }) => sentence)
  if (broken !== undefined) {
    return { state: 'down', sentence: broken.sentence, seen, links, places }
  }
  const isTried = links.some(({ link, state }) => link === 'connection' && state === 'ok')
  const sentence = isTried
    ? 'it can be asked'
    : 'nothing speaks against it, but it could not be tried from here'
  return { state: isTried ? 'answers' : 'unknown', sentence, seen, links, places }
}

/** Endpoints that are tried; the rest is what the first are. */
const MOST_TRIED = 2

/** Adds links up to the first broken one, and gives the places that are known. */
async function follow(
  api: Api,
  entry: GateEntry,
  dial: Dial,
  now: Date,
  links: Link[],
): Promise<readonly Place[]> {
  const { client } = entry
  const places =
    client.by === 'url' ? placesOfUrl(client.url, links) : await behind(api, client, links)
  if (isBroken(links)) return places
  const bundle = readCaBundle(entry, now, links)
  if (isBroken(links)) return places
  const secret = await checkSecret(api, entry)
  if (secret !== undefined) links.push({ link: 'ca-secret', ...secret })
  if (isBroken(links)) return places
  for (const place of places.slice(0, MOST_TRIED)) {
    const tried = await tryPlace(place, entry, bundle, dial, now)
    links.push(...tried)
    if (tried.some(({ state }) => state !== 'unknown')) break
  }
  return places
}

function isBroken(links: readonly Link[]): boolean {
  return links.some(({ state }) => state === 'broken')
}

async function tryPlace(
  { address, port }: Place,
  { client }: GateEntry,
  bundle: Bundle | undefined,
  dial: Dial,
  now: Date,
): Promise<readonly Link[]> {
  const host = hostOf(client)
  const where = `${address}:${port}`
  const dialled = await dial(address, port, host)
  switch (dialled.kind) {
    case 'served': {
      const link = 'certificate'
      const why = bundle && whyUnverified(dialled.chain, bundle, host, now)
      const answers: Link = { link: 'connection', state: 'ok', sentence: `${where} answers` }
      if (why !== undefined) {
        const detail = detailOf(dialled.chain, now)
        const sentence = `its caBundle does not verify what ${where} serves: ${why}${detail}`
        return [answers, { link, state: 'broken', sentence }]
      }
      const state = bundle === undefined ? 'unknown' : 'ok'
      return [answers, { link, state, sentence: says(bundle) }]
    }
    case 'refused': {
      const link = 'connection'
      if (client.by === 'service') {
        const sentence = `${where} cannot be spoken to from here: ${dialled.why}`
        return [{ link, state: 'unknown', sentence }]
      }
      const sentence = `nobody answers at ${client.url}, tried from here: ${dialled.why}`
      return [{ link, state: 'broken', sentence }]
    }
    case 'silent': {
      const sentence = `${where} could not be tried from here: ${dialled.why}`
      return [{ link: 'connection', state: 'unknown', sentence }]
    }
  }
}

/** What the served certificate says itself: its names, and its time where now is out of it. */
function detailOf(chain: string, now: Date): string {
  try {
    const { subjectAltName = 'no name', validFrom, validTo } = new X509Certificate(chain)
    const [from, to] = [new Date(validFrom), new Date(validTo)]
    if (to < now) return `: it expired at ${printTime(to)}`
    if (from > now)
      return `: it is valid from ${printTime(from)} on, and here it is ${printTime(now)}`
    return ` (its names: ${subjectAltName})`
  } catch {
    return ''
  }
}

function placesOfUrl(url: string, links: Link[]): readonly Place[] {
  if (!URL.canParse(url)) {
    const sentence = `its URL cannot be read: ${url}`
    links.push({ link: 'connection', state: 'broken', sentence })
    return []
  }
  const { hostname, port } = new URL(url)
  const address = hostname.replace(/^\[|\]$/g, '')
  return [{ address, port: port === '' ? 443 : Number(port) }]
}

/** Looks at a Service and at who takes the connections of its port; adds what it saw to `links`. */
export async function behind(
  api: Api,
  { namespace, name, port }: Extract<GateClient, { by: 'service' }>,
  links: Link[],
): Promise<readonly Place[]> {
  const called = `Service ${namespace}/${name}`
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/services`
  const looked = await lookAt(api, path, name)
  const add = (link: Link['link'], state: Link['state'], sentence: string): void => {
    links.push({ link, state, sentence })
  }
  if (looked.kind === 'missing') {
    add('service', 'broken', `there is no ${called}`)
    return []
  }
  if (looked.kind === 'unseen') add('service', 'unknown', `${called}: ${looked.why}`)
  const service = foundOr(looked, {})
  if (textAt(service, 'spec', 'type') === 'ExternalName') {
    const address = textAt(service, 'spec', 'externalName')
    add('service', 'ok', `${called} is another name of ${address}`)
    return [{ address, port }]
  }
  const own = objectsAt(service, 'spec', 'ports').find((one) => one['port'] === port)
  if (looked.kind === 'found' && own === undefined) {
    add('service', 'broken', `the ${called} has no port ${port}`)
    return []
  }
  const slices = await lookThrough(api, {
    path: `/apis/discovery.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/endpointslices`,
    labelSelector: `kubernetes.io/service-name=${name}`,
  })
  if (slices.kind === 'unseen') {
    add('endpoints', 'unknown', `endpoints of ${namespace}/${name}: ${slices.why}`)
    return []
  }
  const places = foundOr(slices, []).flatMap((slice) => readyIn(slice, own?.['name']))
  if (places.length === 0) {
    add('endpoints', 'broken', `no ready endpoint is behind the ${called}`)
    return []
  }
  add('endpoints', 'ok', `${called}: ${places.length} ready endpoints`)
  return places
}

/** Addresses of a slice that are ready, with the port of this name. */
function readyIn(slice: JsonObject, portName: unknown): readonly Place[] {
  const port = objectsAt(slice, 'ports').find((one) => (one['name'] ?? '') === (portName ?? ''))
  const number = port?.['port']
  if (typeof number !== 'number') return []
  return objectsAt(slice, 'endpoints')
    .filter((endpoint) => at(endpoint, 'conditions', 'ready') !== false)
    .flatMap((endpoint) => textsAt(endpoint, 'addresses'))
    .map((address) => ({ address, port: number }))
}

/** What a caBundle trusts; one that cannot verify anything keeps every pod from being asked about. */
function readCaBundle(
  { caBundle, client }: GateEntry,
  now: Date,
  links: Link[],
): Bundle | undefined {
  const link = 'ca-bundle'
  if (caBundle === '') {
    // No certificate of the public authorities may bear the name of a Service.
    const state = client.by === 'service' ? 'broken' : 'unknown'
    const sentence = 'its caBundle is empty: the API server trusts what its own machine trusts'
    links.push({ link, state, sentence })
    return undefined
  }
  const read = readBundle('caBundle', Buffer.from(caBundle, 'base64').toString())
  if (!read.ok) {
    const sentence = `its ${read.problems.map(formatProblem).join('; ')}`
    links.push({ link, state: 'broken', sentence })
    return undefined
  }
  const last = endOf(read.value)
  const isOver = last < now
  const sentence = isOver
    ? `every certificate of its caBundle has expired, the last at ${printTime(last)}`
    : `its caBundle is valid until ${printTime(last)}`
  links.push({ link, state: isOver ? 'broken' : 'ok', sentence })
  return read.value
}

function says(bundle: Bundle | undefined): string {
  return bundle === undefined
    ? 'what it serves was not verified, for want of a caBundle'
    : 'its caBundle verifies what it serves'
}

/** When the last certificate of a bundle expires. */
function endOf({ certificates }: Bundle): Date {
  return new Date(Math.max(...certificates.map(({ validTo }) => new Date(validTo).getTime())))
}
