import { SELF_CALL_MARK } from '../constants.ts'
import { inAll, inEach, type Draft } from './draft.ts'
import type { Step } from './model.ts'
import { cameBy, from, leavesBy, marked, not, ownedBy, RETURN, rule, TCP, to } from './rule.ts'

/** What TPROXY needs in the mangle table besides its targets: marks that survive and local traffic left alone. */
export function buildTproxyExtras(draft: Draft): Step[] {
  if (!draft.isTproxy) return []
  const { options, chains, loopback } = draft
  const { mark } = options.tproxy
  const owners = [
    ...options.proxyUids.map((uid) => ownedBy('uid', uid)),
    ...options.proxyGids.map((gid) => ownedBy('gid', gid)),
  ]
  return [
    inAll(
      draft,
      'mangle',
      'PREROUTING',
      rule(
        'the mark of a captured connection is remembered',
        { do: 'save-mark' },
        TCP,
        marked('packet', mark),
      ),
    ),
    inAll(
      draft,
      'mangle',
      'OUTPUT',
      rule(
        'local traffic with the mark needs nothing more',
        RETURN,
        TCP,
        leavesBy('lo'),
        marked('packet', mark),
      ),
    ),
    ...owners.flatMap((own) =>
      inEach(draft, 'mangle', 'OUTPUT', (family) =>
        rule(
          'the proxy calling its own pod is marked as such',
          { do: 'mark', value: SELF_CALL_MARK },
          not(to(loopback[family])),
          TCP,
          leavesBy('lo'),
          own,
        ),
      ),
    ),
    inAll(
      draft,
      'mangle',
      'OUTPUT',
      rule(
        'replies of a captured connection get its mark',
        { do: 'restore-mark' },
        TCP,
        marked('connection', mark),
      ),
    ),
    inAll(
      draft,
      'mangle',
      chains.inbound,
      rule('what carries the mark is with the proxy already', RETURN, TCP, marked('packet', mark)),
      { at: 1 },
    ),
    ...inEach(
      draft,
      'mangle',
      chains.inbound,
      (family) =>
        rule(
          'the proxy dialling the application is left alone',
          RETURN,
          TCP,
          from(draft.passthrough[family]),
          cameBy('lo'),
        ),
      { at: 2 },
    ),
    inAll(
      draft,
      'mangle',
      chains.inbound,
      rule(
        'local traffic is left alone unless the proxy calls its own pod',
        RETURN,
        TCP,
        cameBy('lo'),
        not(marked('packet', SELF_CALL_MARK)),
      ),
      { at: 3 },
    ),
  ]
}
