/**
 * What an answer of the exchange is like, without what it says: the path of every field, and the facts of its value.
 *
 * A path names its steps with dots, `[]` for every item of an array, `[n]` for a place in one whose items differ, and
 * `[PRICE_FILTER]` for items that name their type. A `?` at its end tells that the field was not always there.
 * Facts are JSON type and format together: `decimal:8` is a string with eight places, `milliseconds` a number, `word`
 * one of the exchange's own constants with those that were seen, `code` a number of an error likewise. Several stand
 * with ` or ` between them.
 */
export type Shape = Readonly<Record<string, string>>

export interface Reading {
  /** The answer went through a parser that made strings of whole numbers. */
  readonly quotedNumbers?: boolean
}

/** The facts of all answers together. */
export const shapeOf = (answers: ReadonlyArray<unknown>, reading: Reading = {}): Shape => {
  const places = new Map<string, Place>()
  for (const answer of answers) look(answer, "", places, reading)
  const shape: Record<string, string> = {}
  for (const [path, { facts, parent, seen }] of places) {
    const isAlways = parent === undefined || seen === (places.get(parent)?.objects ?? 0)
    shape[isAlways ? path : `${path}?`] = [...facts].sort().join(" or ")
  }
  return merged(shape)
}

interface Place {
  readonly facts: Set<string>
  readonly parent: string | undefined
  seen: number
  /** How many objects were at this place: what a field is counted against. */
  objects: number
}

const placeOf = (places: Map<string, Place>, path: string, parent: string | undefined): Place => {
  const known = places.get(path)
  if (known !== undefined) return known
  const place: Place = { facts: new Set(), parent, seen: 0, objects: 0 }
  places.set(path, place)
  return place
}

const look = (value: unknown, path: string, places: Map<string, Place>, reading: Reading, parent?: string): void => {
  const place = placeOf(places, path, parent)
  place.seen += 1
  if (Array.isArray(value)) {
    place.facts.add("array")
    const isTuple = new Set(value.map((item) => typeof item)).size > 1
    for (const [at, item] of value.entries()) look(item, `${path}[${isTuple ? at : kindOf(item)}]`, places, reading)
    return
  }
  if (typeof value === "object" && value !== null) {
    place.facts.add("object")
    place.objects += 1
    for (const [name, item] of Object.entries(value)) {
      look(item, path === "" ? name : `${path}.${name}`, places, reading, path)
    }
    return
  }
  place.facts.add(factOf(value, nameOf(path), reading))
}

const nameOf = (path: string): string => /\w+$/.exec(path)?.[0] ?? ""

/** Items that name their type are told apart by it. */
const kindOf = (item: unknown): string => {
  const kind = typeof item === "object" && item !== null && "filterType" in item ? item.filterType : undefined
  return typeof kind === "string" ? kind : ""
}

/** Names of things that are traded look like constants, and are none. */
const traded = new Set([
  "symbol",
  "s",
  "a",
  "asset",
  "baseAsset",
  "quoteAsset",
  "commissionAsset",
  "discountAsset",
  "N"
])
const [leastMillis, greatestMillis] = [1_200_000_000_000, 3_000_000_000_000]

const factOf = (value: unknown, name: string, { quotedNumbers = false }: Reading): string => {
  if (value === null) return "null"
  if (typeof value === "number") {
    if (name === "code") return `code ${value}`
    if (!Number.isInteger(value)) return "number"
    if (value >= leastMillis && value < greatestMillis) return "milliseconds"
    return value >= leastMillis * 1_000 && value < greatestMillis * 1_000 ? "microseconds" : "integer"
  }
  if (typeof value !== "string") return typeof value
  if (quotedNumbers && /^-?\d+$/.test(value)) return "quoted"
  const decimal = /^-?\d+\.(\d+)$/.exec(value)
  if (decimal !== null) return `decimal:${decimal[1]!.length}`
  if (/^-?\d+$/.test(value)) return "digits"
  if (value === "") return "empty"
  if (!/^[A-Z][A-Z0-9_]*$/.test(value)) return "text"
  return traded.has(name) ? "text" : `word ${value}`
}

/** More are no constants, and are not told one by one. */
const mostValues = 8

/** The values of one field that were seen, in one fact. */
const merged = (shape: Shape): Shape =>
  Object.fromEntries(
    Object.entries(shape).map(([path, facts]) => {
      const all = facts.split(" or ")
      const valued = ["word", "code"].flatMap((kind) => {
        const values = all.flatMap((fact) => (fact.startsWith(`${kind} `) ? [fact.slice(kind.length + 1)] : []))
        if (values.length === 0) return []
        return [values.length > mostValues ? kind : `${kind} ${values.join("|")}`]
      })
      return [path, [...all.filter((fact) => !/^(word|code) /.test(fact)), ...valued].join(" or ")]
    })
  )
