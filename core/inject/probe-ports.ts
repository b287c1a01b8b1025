import type { Container } from '../k8s.ts'

/**
 * The number behind a port of a probe: a number is itself, a name is looked up among the container's own
 * ports, where the last of equal names wins. A number in quotes is a name. Undefined when nothing has it.
 */
export function resolvePort(container: Container, port: number | string): number | undefined {
  if (typeof port !== 'string') return port
  return port === ''
    ? undefined
    : container.ports?.findLast(({ name }) => name === port)?.containerPort
}

/** The container's ports as texts, in order, without UDP and SCTP: those that a proxy can stand before. */
export function proxiedPorts({ ports }: Container): readonly string[] {
  return (ports ?? [])
    .filter(({ protocol }) => protocol !== 'UDP' && protocol !== 'SCTP')
    .map(({ containerPort }) => String(containerPort))
}
