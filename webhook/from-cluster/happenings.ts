import { isObject, type JsonObject } from '../../core/json.ts'
import { formatProblem, type Problem } from '../../core/problem.ts'
import type { Happening, ObjectReference } from '../events.ts'

/** What an Event tells about an object that configures us: what is wrong, or that nothing is any more. */
export function happeningOf(regarding: ObjectReference, problems: readonly Problem[]): Happening {
  if (problems.length === 0) {
    const note = 'the configuration is good again and serves'
    return { regarding, type: 'Normal', reason: 'ConfigurationTaken', note }
  }
  const note = problems.map(formatProblem).join('; ')
  return { regarding, type: 'Warning', reason: 'ConfigurationRefused', note }
}

/** The object as Events refer to it. */
export function referenceTo(apiVersion: string, kind: string, object: JsonObject): ObjectReference {
  const metadata = isObject(object['metadata']) ? object['metadata'] : {}
  const { name, namespace, uid } = metadata
  return {
    apiVersion,
    kind,
    name: typeof name === 'string' ? name : '',
    ...(typeof namespace === 'string' ? { namespace } : {}),
    ...(typeof uid === 'string' ? { uid } : {}),
  }
}
