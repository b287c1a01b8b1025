import { good, type Problem, type Read } from './problem.ts'

/** IFNAMSIZ less the closing zero byte: the kernel takes no longer name. */
const LONGEST = 15
const NAME = 'an interface name: a letter, then letters, digits, "_", "." or "-", at most 15 in all'

/**
 * Reads a comma-separated list of interface names as the annotation table accepts it: items trimmed, none
 * empty, order and repeats kept. Empty text is the empty list.
 */
export function readInterfaces(path: string, text: string): Read<readonly string[]> {
  return text === '' ? good([]) : readEach(path, text.split(','), /^[a-zA-Z][a-zA-Z0-9_.-]*$/, NAME)
}

/**
 * Reads a list as the flags accept it: like `readInterfaces`, but empty items are dropped and a name may
 * end in `+`, which iptables reads as "every interface whose name begins so".
 */
export function readInterfaceFlag(path: string, text: string): Read<readonly string[]> {
  const items = text.split(',').filter((item) => item.trim() !== '')
  return readEach(
    path,
    items,
    /^[a-zA-Z][a-zA-Z0-9_.-]*\+?$/,
    `${NAME}; "+" at its end is any rest`,
  )
}

function readEach(
  path: string,
  items: readonly string[],
  grammar: RegExp,
  want: string,
): Read<readonly string[]> {
  const names: string[] = []
  const problems: Problem[] = []
  for (const item of items) {
    const name = item.trim()
    if (grammar.test(name) && name.length <= LONGEST) names.push(name)
    else problems.push({ path, got: item, want })
  }
  return problems.length === 0 ? good(names) : { ok: false, problems }
}
