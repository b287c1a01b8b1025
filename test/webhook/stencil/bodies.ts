/** Reviews as an API server sends them. */
import type { Json, JsonObject } from '../../../core/json.ts'
import { managedFields } from '../../support/managed-fields.ts'

/** An AdmissionReview for the creation of a pod, as text. */
export function bodyOf(pod: Json, namespace = 'shop'): string {
  const kind = { group: '', version: 'v1', kind: 'Pod' }
  return JSON.stringify({
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: '7d5f3c1a-0000-4000-8000-000000000001',
      kind,
      resource: { group: '', version: 'v1', resource: 'pods' },
      namespace,
      operation: 'CREATE',
      userInfo: { username: 'system:serviceaccount:kube-system:replicaset-controller' },
      object: pod,
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
    },
  })
}

/** A pod of a Deployment with a text in each kind of hole. */
export function ordinary({ mountPath = '/data' } = {}): JsonObject {
  const token = 'kube-api-access-x7k2p'
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: {
      generateName: 'web-5d4f8c7b9-',
      namespace: 'shop',
      labels: { app: 'web', version: 'v1', 'pod-template-hash': '5d4f8c7b9' },
      annotations: { 'example.org/note': 'built by hand', 'sidecar.istio.io/logLevel': 'info' },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: 'web-5d4f8c7b9',
          uid: 'u',
          controller: true,
        },
      ],
      managedFields: managedFields({ owner: 'u', seconds: 1_790_000_000, containers: ['web'] }),
    },
    spec: {
      volumes: [
        { name: 'data', configMap: { name: 'web-config' } },
        { name: token, projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } },
      ],
      containers: [
        {
          name: 'web',
          image: 'registry.example/web:1',
          ports: [{ containerPort: 8080, name: 'http' }],
          env: [{ name: 'A', value: 'b' }],
          resources: { requests: { cpu: '100m' } },
          livenessProbe: { httpGet: { path: '/live', port: 8080 } },
          volumeMounts: [
            { name: 'data', mountPath },
            { name: token, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' },
          ],
        },
      ],
      serviceAccountName: 'web-account',
    },
  }
}
