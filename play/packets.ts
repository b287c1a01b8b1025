/** Packets worth following, and what becomes of them in words. */
import { HEALTH_PORT, PROXY_ID } from '../core/constants.ts'
import type { Packet, TraceEnd } from '../core/rules/trace.ts'
import { POD_ADDRESS } from './session.ts'

/** A packet with what it is in a sentence. */
export type Example = { readonly title: string; readonly packet: Packet }

const pod = POD_ADDRESS
const peer = '10.244.2.7'
const service = '10.96.12.40'
const APP_ID = 1000
const app = { uid: APP_ID, gid: APP_ID }
const proxy = { uid: PROXY_ID, gid: PROXY_ID }

/** The ways that traffic of a pod takes. */
export const EXAMPLES: readonly Example[] = [
  { title: 'the application calls a service', packet: out(app, pod, service, 80, 'eth0') },
  { title: 'the proxy sends that on', packet: out(proxy, pod, peer, 8080, 'eth0') },
  { title: 'a peer calls the application', packet: incoming(8080) },
  {
    title: 'the proxy hands that to the application',
    packet: out(proxy, '127.0.0.6', pod, 8080, 'lo'),
  },
  { title: 'the kubelet asks the proxy for its health', packet: incoming(HEALTH_PORT) },
  {
    title: 'the application calls itself by its service',
    packet: out(proxy, pod, pod, 8080, 'lo'),
  },
  {
    title: 'the application calls itself by localhost',
    packet: out(app, '127.0.0.1', '127.0.0.1', 9000, 'lo'),
  },
  {
    title: 'the application asks for a name',
    packet: { ...out(app, pod, '10.96.0.10', 53, 'eth0'), protocol: 'udp' },
  },
]

/** What becomes of a packet. */
export function describeEnd(end: TraceEnd): string {
  switch (end.kind) {
    case 'captured':
      return end.by === 'redirect'
        ? `captured: it goes to port ${String(end.port)} of the proxy`
        : `captured: the proxy takes it at port ${String(end.port)}, with its addresses as they are`
    case 'rewritten':
      return `rewritten: it goes to ${end.to}`
    case 'left-alone':
      return 'left alone: it goes where it was sent'
    case 'dropped':
      return 'dropped'
    case 'undecided':
      return 'a rule decides that cannot be judged from the outside'
    case 'endless':
      return 'it goes round in a circle'
  }
}

function out(
  who: { readonly uid: number; readonly gid: number },
  from: string,
  to: string,
  port: number,
  way: string,
): Packet {
  return {
    protocol: 'tcp',
    from: { address: from, port: 40000 },
    to: { address: to, port },
    ...who,
    out: way,
  }
}

function incoming(port: number): Packet {
  return {
    protocol: 'tcp',
    from: { address: peer, port: 40000 },
    to: { address: pod, port },
    in: 'eth0',
  }
}
