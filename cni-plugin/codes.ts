/** What an error of the plugin means, and what helps. Codes below 100 are those of the CNI specification. */
export type CodeRow = {
  readonly code: number
  readonly meaning: string
  readonly help: string
  /** Whether `on_error: warn` lets the pod start all the same. */
  readonly mayWarn?: true
}

/** Every code that this plugin answers with. The reference page is printed from here. */
export const CODES = {
  version: {
    code: 1,
    meaning:
      'the cniVersion of the network is not one that the plugin knows, or too old for the command',
    help: 'give the network one of the versions that the message lists',
  },
  environment: {
    code: 4,
    meaning: 'a CNI_* variable is missing or wrong, or the command is unknown',
    help: 'a fault of the caller: see the variables that the message names',
  },
  io: {
    code: 5,
    meaning: 'the configuration could not be read from standard input',
    help: "a fault of the caller: see the runtime's log",
  },
  decode: {
    code: 6,
    meaning: 'the configuration is no JSON object',
    help: 'repair the conflist; the installer writes a right entry',
  },
  config: {
    code: 7,
    meaning: 'a key of the configuration, or prevResult, is wrong',
    help: 'repair the key that the message names',
  },
  ownNetns: {
    code: 8,
    meaning: "CNI_NETNS is the node's own network namespace; nothing was touched",
    help: 'a fault of the caller: rules for a pod must never reach the node',
  },
  later: {
    code: 11,
    meaning: 'the pod could not be looked up in time; the runtime tries again',
    help: 'see whether the API server answers and the installer runs on this node',
    mayWarn: true,
  },
  notReady: {
    code: 50,
    meaning: 'STATUS: an ADD would fail now',
    help: 'the details name what is missing',
  },
  internal: {
    code: 999,
    meaning: 'a fault of the plugin itself',
    help: 'report it with the message',
  },
  lookup: {
    code: 100,
    meaning: 'the pod cannot be looked up, and trying again would not help',
    help: "give the plugin's account the right to get pods, or see whether the pod still exists",
    mayWarn: true,
  },
  tools: {
    code: 101,
    meaning: 'a program that writes rules is not on this node',
    help: 'install iptables, iproute2 and util-linux on the node, or name their folder in tool_dirs',
    mayWarn: true,
  },
  rules: {
    code: 102,
    meaning: 'a program that writes rules failed or took too long; what it had done was undone',
    help: 'the details hold what the program said',
    mayWarn: true,
  },
  drift: {
    code: 103,
    meaning: 'CHECK: the rules in the pod are not those that it should have',
    help: 'the details name the rules; deleting the pod makes fresh ones',
  },
  annotation: {
    code: 104,
    meaning:
      'an annotation of the pod is wrong, or the redirect plan of an injected pod is missing',
    help: 'create the pod again, so that the webhook writes its plan, or repair the annotation',
    mayWarn: true,
  },
  netns: {
    code: 105,
    meaning: 'the network namespace of the pod is not there or cannot be entered',
    help: 'usually the pod was deleted meanwhile; the runtime tries again if it was not',
    mayWarn: true,
  },
  noAnnotations: {
    code: 106,
    meaning: 'the runtime hands over no pod annotations, and no other source is configured',
    help: 'containerd 1.5 or CRI-O 1.29 and newer do; else configure pod_source: api',
    mayWarn: true,
  },
} as const satisfies Record<string, CodeRow>

/** What went wrong, by its stable word. */
export type FailureKind = keyof typeof CODES

/** The outside world, or the caller, does not let the command succeed. The message is for pod events. */
export class Failure extends Error {
  readonly kind: FailureKind
  readonly details: string | undefined

  constructor(kind: FailureKind, message: string, details?: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'Failure'
    this.kind = kind
    this.details = details
  }
}
