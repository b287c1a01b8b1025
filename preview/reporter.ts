import type { Compared } from './compared.ts'

/** Somebody who is shown every pod, and prints once all could be read. */
export type Reporter = {
  readonly take: (compared: Compared) => void
  /** `unsent`: pods that the injector never hears of. */
  readonly finish: (unsent: number) => Promise<void>
}

/** A workload as people name it: `Deployment shop/web`. */
export function nameOf({ owner }: Compared): string {
  const { kind, namespace, name } = owner
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name === '' ? '(no name)' : name}`
}
