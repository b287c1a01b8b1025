/** Ports to which rules or the kubelet send, and nobody takes it there. */
import type { Port } from '../ports.ts'
import { listed, type Contradiction } from './contradiction.ts'
import type { Case } from './judge.ts'
import { likelyEnd, type Passage } from './packets.ts'
import type { Listener } from './sockets.ts'

/** Contradictions between the rules and who listens. */
export function judgeListeners(one: Case): readonly Contradiction[] {
  const sent = one.passages.filter((passage) => {
    return passage.kind !== 'proxy' && likelyEnd(passage).kind === 'captured'
  })
  // DNS that no rule of its own takes goes where all else goes.
  const ordinary = sent.filter(({ kind }) => kind !== 'dns').map(portOf)
  const dns = sent.filter(
    (passage) => passage.kind === 'dns' && !ordinary.includes(portOf(passage)),
  )
  const traffic = sent.filter((passage) => !dns.includes(passage))
  return [...judgeTraffic(traffic, one), ...judgeDns(dns), ...judgeProbes(one)]
}

function judgeTraffic(
  traffic: readonly Passage[],
  { seen, asked }: Case,
): readonly Contradiction[] {
  const idle = traffic.filter(({ taker }) => taker === undefined)
  const v4 = [...new Set(idle.filter(({ family }) => family === 'v4').map(portOf))]
  const v6 = [...new Set(idle.filter(({ family }) => family === 'v6').map(portOf))].filter(
    (port) => !v4.includes(port),
  )
  const elsewhere = v4.flatMap((port) =>
    seen.listeners.filter((one) => one.protocol === 'tcp' && one.port === port),
  )
  const found: Contradiction[] = []
  if (v4.length > 0) found.push(nobody(v4, elsewhere, traffic, asked?.proxy !== undefined))
  if (v6.length > 0) {
    const isTaken = traffic.some(({ family, taker }) => family === 'v4' && taker !== undefined)
    if (!isTaken) found.push(nobody(v6, [], traffic, asked?.proxy !== undefined))
    else {
      const says = `IPv6 is only half captured: the rules send it to ${listed(v6)}, and there only IPv4 is listened on`
      const remedy =
        'give Envoy IPv6 listeners (ISTIO_DUAL_STACK on istiod and proxy), or capture IPv4 only'
      found.push({ code: 'ipv6-half', says, remedy })
    }
  }
  return found
}

function nobody(
  ports: readonly Port[],
  elsewhere: readonly Listener[],
  traffic: readonly Passage[],
  hasProxy: boolean,
): Contradiction {
  const [other] = elsewhere
  if (other !== undefined) {
    return {
      code: 'nobody-listens',
      says: `the rules send to ${other.port} of the pod's own address, and there is a listener on ${other.address} only`,
      remedy:
        'let Envoy listen on all addresses: REDIRECT goes to the address that the packet came in by',
    }
  }
  const all = new Set(traffic.map(portOf))
  const isDown = ports.length === all.size
  const down = isDown ? 'Envoy is down: ' : ''
  return {
    code: 'nobody-listens',
    says: `${down}nobody listens on ${listed(ports)}, where the rules send the traffic of the pod, so it is refused`,
    remedy: hasProxy
      ? 'look at the container istio-proxy: its state, and its log (kubectl logs POD -c istio-proxy)'
      : 'start the proxy, or remove the rules with istio-iptables --cleanup-only',
  }
}

function judgeDns(dns: readonly Passage[]): readonly Contradiction[] {
  const idle = dns.filter(({ taker }) => taker === undefined)
  const [first] = idle
  if (first === undefined) return []
  const protocols = [...new Set(idle.map(({ packet }) => packet.protocol))]
  const families = [...new Set(idle.map(({ family }) => `IPv${family.slice(1)}`))]
  const says = `the DNS listener is missing: the rules send queries to ${portOf(first)}, and nobody listens there for ${listed(protocols)} (${listed(families)}), so no name resolves`
  const remedy =
    'let the agent serve DNS (ISTIO_META_DNS_CAPTURE in its environment, see the log of istio-proxy), or take --redirect-dns from the rules'
  return [{ code: 'dns-nobody', says, remedy }]
}

/** Ports that the kubelet asks, and nobody answers. */
export function judgeProbes({ passages }: Case): readonly Contradiction[] {
  const idle = passages.filter((one) => {
    const isAsked = one.kind === 'probe' && likelyEnd(one).kind === 'left-alone'
    return isAsked && one.taker === undefined
  })
  const ports = [
    ...new Set(
      idle.filter(({ family }) => family === firstOf(passages)).map(({ packet }) => packet.to.port),
    ),
  ]
  if (ports.length === 0) return []
  const says = `nobody listens on ${listed(ports)}, where the kubelet asks for readiness`
  const remedy = 'look at the log of istio-proxy: its agent serves 15020, Envoy 15021'
  return [{ code: 'probe-nobody', says, remedy }]
}

/** The family that the kubelet is likely to ask by. */
function firstOf(passages: readonly Passage[]): Passage['family'] {
  return passages.some(({ family }) => family === 'v4') ? 'v4' : 'v6'
}

function portOf(passage: Passage): Port {
  const end = likelyEnd(passage)
  return end.kind === 'captured' ? end.port : passage.packet.to.port
}
