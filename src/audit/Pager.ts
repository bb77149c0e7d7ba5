/** One sorted sequence read in pages, an element at a time, with a look ahead. Holds one page. */
import { Effect } from "effect"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"

export interface Pager<A> {
  /** The next element without taking it; null at the end. */
  readonly peek: Effect.Effect<A | null, StoreUnavailable>
  readonly next: Effect.Effect<A | null, StoreUnavailable>
}

export const makePager = <A, K>(options: {
  /** The key before every element. */
  readonly start: K
  readonly fetch: (after: K) => Effect.Effect<ReadonlyArray<A>, StoreUnavailable>
  readonly keyOf: (element: A) => K
  /** A page with fewer is the last. */
  readonly size: number
}): Pager<A> => {
  let page: ReadonlyArray<A> = []
  let index = 0
  let after = options.start
  let ended = false

  const peek = Effect.suspend((): Effect.Effect<A | null, StoreUnavailable> => {
    if (index < page.length) return Effect.succeed(page[index]!)
    if (ended) return Effect.succeed(null)
    return Effect.map(options.fetch(after), (fetched) => {
      page = fetched
      index = 0
      ended = fetched.length < options.size
      const last = fetched.at(-1)
      if (last !== undefined) after = options.keyOf(last)
      return fetched[0] ?? null
    })
  })

  const next = Effect.map(peek, (element) => {
    if (element !== null) index += 1
    return element
  })

  return { peek, next }
}
