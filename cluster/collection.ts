/** One list, and one watch, of the objects at a path. */
import type { IncomingMessage } from 'node:http'
import { demand, readAnswer, type Api } from './api.ts'
import { readEvent, readListing, type Listing, type WatchEvent } from './events.ts'
import type { WatchTiming } from './timing.ts'

/** Objects of one kind: all of a path, or those that the selectors leave. */
export type Collection = {
  /** `/api/v1/nodes`, `/api/v1/namespaces/NAMESPACE/configmaps`. */
  readonly path: string
  readonly labelSelector?: string
  readonly fieldSelector?: string
}

/** Objects in one page of a list: a big cluster's nodes need not be in memory at once. */
const PAGE = '500'

/** Reads a list page by page. Throws an ApiRefused where there is none to be had. */
export async function* listPages(
  api: Api,
  collection: Collection,
  timing: WatchTiming,
): AsyncGenerator<Listing> {
  let next: string | undefined
  do {
    const query = queryOf(collection, {
      limit: PAGE,
      ...(next === undefined ? {} : { continue: next }),
    })
    const { path } = collection
    const answer = await api.call({ path, query, seconds: timing.answerMs / 1000 })
    const page = readListing(demand(answer, 200))
    if (page === undefined) throw new Error('got something else, want a list of objects')
    yield page
    next = page.next
  } while (next !== undefined)
}

/**
 * What changes from `from` on, beginning with `opened`, until the API server ends the watch. Throws
 * when the connection breaks, or says nothing although the watch should have ended.
 */
export async function* watchEvents(
  api: Api,
  collection: Collection,
  from: string,
  timing: WatchTiming,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent> {
  const { path } = collection
  const query = queryOf(collection, {
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion: from,
    timeoutSeconds: String(timing.watchSeconds),
  })
  const call = makeDeadline(signal)
  try {
    call.within(timing.answerMs)
    const response = await api.open({ path, query }, call.signal)
    call.within(timing.watchSeconds * 1000 + timing.graceMs)
    if (response.statusCode !== 200) demand(await readAnswer(response), 200)
    yield { kind: 'opened' }
    for await (const line of linesOf(response)) yield readEvent(line)
  } catch (cause) {
    if (!call.isOver()) throw cause
    // The connection is dead, and the idle ones beside it are likely to have gone the same way.
    api.forgetIdle()
    throw new Error('the connection of a watch went silent', { cause })
  } finally {
    call.end()
  }
}

/** A signal that comes at a deadline, which can be set anew, or with the signal `outer`. */
function makeDeadline(outer: AbortSignal) {
  const controller = new AbortController()
  const abort = (): void => {
    controller.abort()
  }
  let timer: NodeJS.Timeout | undefined
  outer.addEventListener('abort', abort, { once: true })
  if (outer.aborted) abort()
  return {
    signal: controller.signal,
    within: (ms: number): void => {
      clearTimeout(timer)
      timer = setTimeout(abort, ms)
    },
    isOver: (): boolean => controller.signal.aborted && !outer.aborted,
    end: (): void => {
      clearTimeout(timer)
      outer.removeEventListener('abort', abort)
      abort()
    },
  }
}

function queryOf(
  { labelSelector, fieldSelector }: Collection,
  more: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return {
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
    ...more,
  }
}

/** Lines end in a line feed only: the separators that JSON allows inside text are none. */
async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  response.setEncoding('utf8')
  let rest = ''
  for await (const chunk of response) {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop() ?? ''
    yield* lines.filter((line) => line !== '')
  }
}
