/** What the API server notes of who wrote what into a pod. */
import type { Json } from '../../core/json.ts'

/** Who created a pod, and when. */
type Writing = {
  /** Uid of the ReplicaSet. */
  readonly owner: string
  /** Seconds since 1970. */
  readonly seconds: number
  /** Names of the containers. */
  readonly containers: readonly string[]
}

/** The `managedFields` that stand in the review of a pod of a ReplicaSet: its uid is part of a key. */
export function managedFields({ owner, seconds, containers }: Writing): Json {
  const time = new Date(seconds * 1000).toISOString().replace('.000', '')
  const container = {
    '.': {},
    'f:image': {},
    'f:imagePullPolicy': {},
    'f:name': {},
    'f:ports': {
      '.': {},
      'k:{"containerPort":8080,"protocol":"TCP"}': {
        '.': {},
        'f:containerPort': {},
        'f:protocol': {},
      },
    },
    'f:resources': {},
    'f:terminationMessagePath': {},
    'f:terminationMessagePolicy': {},
  }
  return [
    {
      manager: 'kube-controller-manager',
      operation: 'Update',
      apiVersion: 'v1',
      time,
      fieldsType: 'FieldsV1',
      fieldsV1: {
        'f:metadata': {
          'f:generateName': {},
          'f:labels': { '.': {}, 'f:app': {}, 'f:pod-template-hash': {} },
          'f:ownerReferences': { '.': {}, [`k:${JSON.stringify({ uid: owner })}`]: {} },
        },
        'f:spec': {
          'f:containers': Object.fromEntries(
            containers.map((name) => [`k:${JSON.stringify({ name })}`, container]),
          ),
          'f:dnsPolicy': {},
          'f:enableServiceLinks': {},
          'f:restartPolicy': {},
          'f:schedulerName': {},
          'f:securityContext': {},
          'f:terminationGracePeriodSeconds': {},
        },
      },
    },
  ]
}
