/** Where the values of a JSON text end. */

/** The end of the text of a JSON string that begins at `start`, its quote; negative where it is none. */
export function endOfText(body: string, start: number): number {
  PLAIN.lastIndex = start
  if (PLAIN.test(body)) return PLAIN.lastIndex - 1
  ESCAPED.lastIndex = start
  return ESCAPED.test(body) ? ESCAPED.lastIndex - 1 : -1
}

// eslint-disable-next-line no-control-regex -- JSON has no bare control characters in its texts
const PLAIN = /[^"\\\u0000-\u001f]*"/y
// eslint-disable-next-line no-control-regex -- as above
const ESCAPED = /(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4}))*"/y

/**
 * The end of the JSON list that begins at `start`, behind its bracket; negative where it is none, or one so deep
 * that the depth of the whole might matter.
 */
export function endOfList(body: string, start: number): number {
  const end = body[start] === '[' ? closing(body, start) : -1
  return end >= 0 && isJson(body.slice(start, end)) ? end : -1
}

/** Far more levels than the API server writes, and far fewer than a review may have. */
const DEEPEST_LIST = 50

/** Behind the bracket that closes the one at `start`; which kind each is does not matter here. */
function closing(body: string, start: number): number {
  let depth = 0
  let isInText = false
  for (let at = start; at < body.length; at++) {
    const code = body.charCodeAt(at)
    if (isInText) {
      if (code === BACKSLASH) at++
      else if (code === QUOTE) isInText = false
    } else if (code === QUOTE) {
      isInText = true
    } else if (code === OPEN_LIST || code === OPEN_MAP) {
      depth += 1
      if (depth > DEEPEST_LIST) return -1
    } else if (code === CLOSE_LIST || code === CLOSE_MAP) {
      depth -= 1
      if (depth === 0) return at + 1
    }
  }
  return -1
}

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_MAP, CLOSE_MAP] = [34, 92, 91, 93, 123, 125]

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
