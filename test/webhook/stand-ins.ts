import { Registry } from 'prom-client'
import type { Decision, InjectRequest } from '../../core/inject/decision.ts'
import type { Operation } from '../../core/inject/patch.ts'
import { isPod } from '../../core/inject/pod-shape.ts'
import { isObject, type Json } from '../../core/json.ts'
import { makeMetrics } from '../../webhook/metrics.ts'
import { combine } from '../../webhook/readiness.ts'
import { buildServer, type ServerDeps, type WebhookServer } from '../../webhook/server.ts'

/** A configuration of the stand-in: the image that it puts in front. */
export type Standing = { readonly image: string }

/**
 * Injects one container in front, as simply as can be: the webhook's tests are about the webhook.
 * Annotation `test` of the pod asks for another outcome.
 */
export function standIn(request: InjectRequest, config: Standing): Decision {
  const { pod } = request
  if (config.image === 'broken') throw new Error('no such image')
  if (!isObject(pod) || !isObject(pod['metadata']) || !isObject(pod['spec'])) {
    const problems = [{ path: '/spec', got: 'nothing', want: 'an object' }]
    return { kind: 'reject', problems, warnings: [] }
  }
  const annotations = isObject(pod['metadata']['annotations']) ? pod['metadata']['annotations'] : {}
  const { warn, test } = annotations
  const warnings = typeof warn === 'string' ? [warn] : []
  switch (typeof test === 'string' ? test : '') {
    case 'skip':
      return {
        kind: 'skip',
        reason: 'host-network',
        sentence: '',
        evidence: { path: 'spec.hostNetwork', got: 'true' },
        warnings,
      }
    case 'reject': {
      const problems = [
        { path: 'a', got: 'x', want: 'y' },
        { path: 'b', got: '"\n', want: 'z' },
      ]
      return { kind: 'reject', problems, warnings }
    }
    case 'throw':
      throw new Error('the template\nbroke')
    case 'unchanged':
      return injected(pod, pod, warnings)
    case 'wrong-before':
      return injected({ ...pod, extra: { a: 1 } }, { ...pod, extra: { a: 2 } }, warnings)
  }
  const containers = Array.isArray(pod['spec']['containers']) ? pod['spec']['containers'] : []
  const proxy = { name: 'istio-proxy', image: config.image, env: envOf(request) }
  const spec = { ...pod['spec'], containers: [proxy, ...containers] }
  return injected(pod, { ...pod, spec }, warnings)
}

function envOf(request: InjectRequest): Json {
  return [
    { name: 'OWNER', value: `${request.owner.kind}/${request.owner.name}` },
    { name: 'NAMESPACE', value: request.namespace ?? '' },
    { name: 'NATIVE', value: String(request.nativeSidecars) },
    ...Object.entries(request.proxyEnvs).map(([name, value]) => ({ name, value })),
    ...Object.entries(request.namespaceAnnotations ?? {}).map(([name, value]) => ({ name, value })),
  ]
}

function injected(before: unknown, pod: unknown, warnings: readonly string[]): Decision {
  if (!isPod(before) || !isPod(pod)) throw new Error('want pods')
  const reason = 'policy-enabled'
  const evidence = { path: 'policy', got: 'enabled' }
  return { kind: 'inject', reason, sentence: '', evidence, before, pod, templates: [], warnings }
}

/** A server around the stand-in, and what it wrote. */
export type Stand = {
  readonly app: WebhookServer
  readonly registry: Registry
  /** Log lines, parsed. */
  readonly lines: () => readonly Record<string, unknown>[]
}

/** Builds a server for one test. */
export function makeStand(other: Partial<ServerDeps<Standing>> = {}): Stand {
  const registry = new Registry()
  const written: string[] = []
  const app = buildServer<Standing>({
    inject: standIn,
    snapshot: () => ({
      config: { image: 'proxyv2' },
      isNative: (nodeName) => nodeName === 'new',
      annotationsOf: (namespace) => (namespace === 'known' ? { scc: '1000/10' } : undefined),
    }),
    metrics: makeMetrics(registry),
    readiness: () => combine([{ name: 'config', isReady: true, detail: 'read' }]),
    isDraining: () => false,
    logger: { level: 'info', stream: { write: (line) => void written.push(line) } },
    ...other,
  })
  return { app, registry, lines: () => parseLines(written) }
}

/** Log lines as values. */
export function parseLines(written: readonly string[]): readonly Record<string, unknown>[] {
  const lines: readonly Record<string, unknown>[] = JSON.parse(`[${written.join(',')}]`)
  return lines
}

/** The operations in an answer, none when it has no patch. */
export function opsIn(answer: string): readonly Operation[] {
  const review: { response: { patch?: string } } = JSON.parse(answer)
  const text = Buffer.from(review.response.patch ?? '', 'base64').toString()
  const operations: readonly Operation[] = text === '' ? [] : JSON.parse(text)
  return operations
}

/** An AdmissionReview for a pod, as text. */
export function reviewOf(object: unknown, request: object = {}, outer: object = {}): string {
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { uid: 'u-1', namespace: 'shop', operation: 'CREATE', object, ...request },
    ...outer,
  })
}

/** A small pod with these annotations. */
export function podWith(annotations: Record<string, string> = {}): Json {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', annotations },
    spec: { containers: [{ name: 'app', image: 'app:1' }] },
  }
}

/** The values of counters by `name{labels}`, zeros left out. */
export async function valuesOf(registry: Registry): Promise<Record<string, number>> {
  const values: Record<string, number> = {}
  for (const metric of await registry.getMetricsAsJSON()) {
    for (const { labels, value } of metric.values) {
      const label = Object.values(labels).join(',')
      if (String(metric.type) === 'counter' && value !== 0) {
        values[label === '' ? metric.name : `${metric.name}{${label}}`] = value
      }
    }
  }
  return values
}
