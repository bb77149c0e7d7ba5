/**
 * A map that holds so many entries and forgets the oldest, counted from when they were last set or touched.
 *
 * Its search for the oldest goes on where it ended. One that began anew each time would pass by the places of all
 * entries deleted since the table was last rebuilt: microseconds for each order.
 */
export interface BoundedMap<K, V> {
  readonly get: (key: K) => V | undefined
  /** As `get`, and the entry is the youngest from then on. */
  readonly touch: (key: K) => V | undefined
  readonly set: (key: K, value: V) => void
  readonly size: () => number
}

/** Entries of which `mayGo` is false stay, so there may be more than `limit` while they do. */
export const makeBoundedMap = <K, V>(limit: number, mayGo: (value: V) => boolean = () => true): BoundedMap<K, V> => {
  const entries = new Map<K, V>()
  let search = entries.entries()

  const makeRoom = (): void => {
    // From where it ended to the end, and once from the beginning: then all that is left may not go.
    for (let hasTurned = false; entries.size >= limit;) {
      const next = search.next()
      if (next.done !== true) {
        if (mayGo(next.value[1])) entries.delete(next.value[0])
        continue
      }
      search = entries.entries()
      if (hasTurned) return
      hasTurned = true
    }
  }

  return {
    get: (key) => entries.get(key),
    touch: (key) => {
      const value = entries.get(key)
      if (value === undefined) return undefined
      entries.delete(key)
      entries.set(key, value)
      return value
    },
    set: (key, value) => {
      // Before, so that the new entry itself never goes.
      if (!entries.delete(key)) makeRoom()
      entries.set(key, value)
    },
    size: () => entries.size
  }
}
