/** What injected pods wait for besides the injector: the mesh's root certificate, istiod, tokens for it. */
import { messageOf } from '../cluster/events.ts'
import type { Api } from '../cluster/api.ts'
import { lookAt } from '../cluster/look.ts'
import { textAt } from '../cluster/members.ts'
import { behind, type Link } from '../cluster/reach.ts'
import { readSourcesOf } from '../kube-inject/cluster.ts'
import { readConfig } from '../kube-inject/config.ts'
import { Refusal } from '../core/problem.ts'
import type { Check, Finding } from './finding.ts'

/** Whose istiod: that of a revision, empty for the default one, in a namespace. */
export type Mesh = { readonly revision: string; readonly istioNamespace: string }

/** Where istiod writes the mesh's root certificate, in every namespace. */
const ROOT_CERTIFICATE = 'istio-ca-root-cert'
/** Audience of the tokens by which proxies prove to istiod who they are. */
const AUDIENCE = 'istio-ca'
/** Seconds; the shortest that API servers give. */
const TOKEN_SECONDS = 600

/** Looks at all three for pods of a namespace. */
export async function examineMesh(
  api: Api,
  namespace: string,
  mesh: Mesh,
): Promise<readonly Finding[]> {
  const all = await Promise.all([
    examineRoot(api, namespace),
    examineIstiod(api, mesh),
    examineToken(api, namespace),
  ])
  return all.flat()
}

async function examineRoot(api: Api, namespace: string): Promise<readonly Finding[]> {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps`
  const looked = await lookAt(api, path, ROOT_CERTIFICATE)
  const called = `ConfigMap ${namespace}/${ROOT_CERTIFICATE}`
  const check = 'root-certificate'
  switch (looked.kind) {
    case 'found': {
      const isThere = textAt(looked.value, 'data', 'root-cert.pem') !== ''
      return [
        isThere
          ? { check, state: 'ok', sentence: `the ${called} is there` }
          : { check, state: 'not-ok', sentence: `the ${called} has no root-cert.pem` },
      ]
    }
    case 'missing': {
      const sentence = `there is no ${called}, which istiod writes and every injected pod mounts: its containers wait for it`
      return [{ check, state: 'not-ok', sentence }]
    }
    case 'unseen':
      return [{ check, state: 'unknown', sentence: `${called}: ${looked.why}` }]
  }
}

async function examineIstiod(api: Api, mesh: Mesh): Promise<readonly Finding[]> {
  const address = await discoveryAddress(api, mesh)
  const check = 'istiod'
  const [, name, namespace, port] =
    /^([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.[a-z0-9.-]+)?:(\d+)$/.exec(address) ?? []
  if (name === undefined || namespace === undefined) {
    const sentence = `proxies call ${address}, which is no Service of this cluster`
    return [{ check, state: 'unknown', sentence }]
  }
  const links: Link[] = []
  await behind(api, { by: 'service', namespace, name, port: Number(port), path: '/' }, links)
  const needs = 'so that proxies get no certificate and no configuration'
  return links.map(({ state, sentence }) => {
    if (state === 'broken') return finding(check, 'not-ok', `istiod: ${sentence}, ${needs}`)
    return finding(check, state, `istiod, ${address}: ${sentence}`)
  })
}

function finding(check: Check, state: Finding['state'], sentence: string): Finding {
  return { check, state, sentence }
}

/** What the mesh configuration says, where it can be read; else the name that Istio gives it. */
async function discoveryAddress(api: Api, { revision, istioNamespace }: Mesh): Promise<string> {
  const suffix = revision === '' ? '' : `-${revision}`
  const usual = `istiod${suffix}.${istioNamespace}.svc:15012`
  try {
    const sources = await readSourcesOf(api, { revision, istioNamespace })
    const { mesh } = await readConfig({ revision, istioVersion: 'current' }, {}, sources)
    const isSaid = sources.mesh?.text.includes('discoveryAddress') === true
    return isSaid ? textAt(mesh.defaultConfig.fields, 'discoveryAddress') : usual
  } catch (cause) {
    if (cause instanceof Refusal) return usual
    throw cause
  }
}

/** Asks for a token of the kind that pods get, which is forgotten at once. */
async function examineToken(api: Api, namespace: string): Promise<readonly Finding[]> {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/default/token`
  const spec = { audiences: [AUDIENCE], expirationSeconds: TOKEN_SECONDS }
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec }
  const check = 'token'
  const answer = await api.call({ method: 'POST', path, body }).catch(() => undefined)
  if (answer?.status !== 201) {
    const why = answer === undefined ? 'no answer' : (messageOf(answer.body) ?? '')
    return [{ check, state: 'unknown', sentence: `no token could be asked for: ${why}` }]
  }
  const [, payload = ''] = textAt(answer.body, 'status', 'token').split('.')
  const claims = claimsOf(payload)
  const issuer = textAt(claims, 'iss')
  const sentence = `the API server gives tokens for the audience ${AUDIENCE}, as issuer ${issuer}`
  return [{ check, state: 'ok', sentence }]
}

function claimsOf(base64: string): unknown {
  try {
    return JSON.parse(Buffer.from(base64, 'base64url').toString())
  } catch {
    return undefined
  }
}
