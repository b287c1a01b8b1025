/** Injected manifests of every shape before a strict API server, which reads our very text. */
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { injectPod } from '../../core/inject/inject.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import { parseDocuments } from '../../core/yaml.ts'
import { injectDocument, type Setting } from '../../kube-inject/inject-document.ts'
import { groupOf, listItems, workloadOf } from '../../kube-inject/workloads.ts'
import { configOf } from '../support/config.ts'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from './control-plane.ts'
import { create, messageOf, textAt } from './objects.ts'

const folders = ['round-trip', 'manifests', 'pods'].map(
  (name) => new URL(`../fixtures/${name}/`, import.meta.url),
)
const config = configOf({})
const setting: Setting = {
  inject: (request) => injectPod(request, config),
  nativeSidecars: false,
}

/** Requests that are on their way at once. */
const TOGETHER = 12

/** One workload as it is posted. */
type Posted = {
  readonly what: string
  readonly object: JsonObject
  /** The text of its document; nothing where it is one of several in a List. */
  readonly text?: string
  readonly isInjected: boolean
}

t.test('what is injected passes a strict dry run', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane({ controllers: [] })
  t.teardown(() => controlPlane.stop())
  const before = folders.flatMap((folder) => postedOf(folder, false))
  const after = folders.flatMap((folder) => postedOf(folder, true))
  await makePlaces(controlPlane, before)

  const taken = new Set<string>()
  await inTurns(before, async (one) => {
    const { status } = await post(controlPlane, one)
    if (status === 201) taken.add(one.what)
  })
  t.ok(taken.size >= 100, `${taken.size} of ${before.length} are taken as they are`)
  const refused = before.filter(({ what }) => what.startsWith('round-trip/') && !taken.has(what))
  t.strictSame(
    refused.map(({ what }) => what),
    [],
    'every manifest of the round trip is a good one',
  )

  const injected = after.filter(({ what }) => taken.has(what))
  t.equal(injected.length, taken.size, 'each is there after injection')
  let texts = 0
  await inTurns(injected, async (one) => {
    const fromValue = await post(controlPlane, { ...one, text: undefined })
    t.equal(fromValue.status, 201, `${one.what}: ${messageOf(fromValue.body)}`)
    if (one.text === undefined) return
    texts++
    const fromText = await post(controlPlane, one)
    t.strictSame(settled(fromText.body), settled(fromValue.body), `${one.what}: read as we read it`)
  })
  const count = injected.filter(({ isInjected }) => isInjected).length
  t.ok(count >= 100, `${count} of them have a sidecar`)
  t.comment(
    `${injected.length} objects taken, ${count} with a sidecar, ${texts} as the text they are`,
  )
})

/** The workloads of all files of a folder that the API server itself knows. */
function postedOf(folder: URL, isAfter: boolean): readonly Posted[] {
  return readdirSync(folder).flatMap((name) => {
    const file = `${folder.pathname.split('/').at(-2) ?? ''}/${name}`
    const text = readFileSync(new URL(name, folder), 'utf8')
    return [...parseDocuments(name, text)].flatMap((read, index) => {
      if (!read.ok) throw new Error(`${file}: ${JSON.stringify(read.problems)}`)
      const where = `${file} ${index}`
      const outcome = injectDocument(read.value, where, setting)
      // Some of the other fixtures are there to be refused.
      if (outcome.problems.length > 0 && !file.startsWith('round-trip')) return []
      t.strictSame(outcome.problems, [], where)
      const final = isAfter ? outcome.text : read.value.text
      const [document] = [...parseDocuments(where, final)]
      const value = document?.ok === true ? document.value.value : undefined
      if (!isObject(value)) return []
      const objects = objectsOf(value)
      return objects.map((object, place): Posted => {
        const isInjected = JSON.stringify(object).includes('"istio-proxy"')
        const what = `${where}.${place}, ${textAt(object, 'kind')}`
        return { what, object, isInjected, ...(object === value && { text: final }) }
      })
    })
  })
}

function objectsOf(value: JsonObject): readonly JsonObject[] {
  const items = listItems(value)
  if (items !== undefined) return items.filter(isObject).flatMap(objectsOf)
  const isOurs = workloadOf(value) !== undefined && groupOf(value) !== 'apps.openshift.io'
  return isOurs &&
    !/beta|extensions|Config$/.test(`${textAt(value, 'apiVersion')} ${textAt(value, 'kind')}`)
    ? [value]
    : []
}

function namespaceOf(object: JsonObject): string {
  return textAt(object, 'metadata', 'namespace') || 'default'
}

/** Posts the text of an object where it has one to itself, else its value. */
async function post(
  { request }: ControlPlane,
  { object, text }: Omit<Posted, 'text'> & { readonly text?: string | undefined },
) {
  const version = textAt(object, 'apiVersion')
  const api = version === 'v1' ? '/api/v1' : `/apis/${version}`
  const plural = `${textAt(object, 'kind').toLowerCase()}s`
  const path = `${api}/namespaces/${namespaceOf(object)}/${plural}?dryRun=All&fieldValidation=Strict`
  return request(
    'POST',
    path,
    text ?? object,
    text === undefined ? 'application/json' : 'application/yaml',
  )
}

/** The answer without what differs between two posts of the same. */
function settled(body: unknown): unknown {
  if (!isObject(body) || !isObject(body['metadata'])) return body
  const { uid: _, creationTimestamp: __, managedFields: ___, ...metadata } = body['metadata']
  const text = JSON.stringify({ ...body, metadata })
  // Names that are generated, of the object and of the token's volume, and uids in labels.
  const generated =
    /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=kube-api-access-|"name":"run-)[a-z0-9]{5}/g
  return JSON.parse(text.replaceAll(generated, 'generated'))
}

/** Namespaces and the accounts that Pods run as: no controller makes them here. */
async function makePlaces(controlPlane: ControlPlane, posted: readonly Posted[]): Promise<void> {
  const namespaces = new Set(posted.map(({ object }) => namespaceOf(object)))
  for (const name of namespaces) {
    if (name !== 'default') await create(controlPlane, '/api/v1/namespaces', { metadata: { name } })
  }
  const accounts = new Set([...namespaces].map((name) => `${name} default`))
  for (const { object } of posted) {
    const account = textAt(object, 'spec', 'serviceAccountName')
    if (account !== '') accounts.add(`${namespaceOf(object)} ${account}`)
  }
  await inTurns([...accounts], async (account) => {
    const [namespace = '', name = ''] = account.split(' ')
    await create(controlPlane, `/api/v1/namespaces/${namespace}/serviceaccounts`, {
      metadata: { name },
    })
  })
}

async function inTurns<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  for (let from = 0; from < items.length; from += TOGETHER) {
    await Promise.all(items.slice(from, from + TOGETHER).map(act))
  }
}
