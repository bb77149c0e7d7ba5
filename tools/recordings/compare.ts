/** What differs between answers of a simulator and what is known of the exchange's of the same kind. */
import type { Kind } from "./files.ts"
import type { Shape } from "./shape.ts"

export type What = "missing" | "unknown" | "other type" | "other format"

export interface Difference {
  readonly kind: string
  readonly path: string
  readonly what: What
  readonly detail: string
}

interface Field {
  readonly isAlways: boolean
  readonly facts: ReadonlyArray<string>
}

type Fields = ReadonlyMap<string, Field>

const fieldsOf = (shape: Shape): Fields =>
  new Map(
    Object.entries(shape).map(([name, facts]) => {
      const isAlways = !name.endsWith("?")
      return [isAlways ? name : name.slice(0, -1), { isAlways, facts: facts.split(" or ") }] as const
    })
  )

export const compareShapes = (kind: Kind, shape: Shape): ReadonlyArray<Difference> => {
  const ours = fieldsOf(shape)
  const recorded = kind.recordings.map(({ fields }) => fieldsOf(fields))
  const documented = fieldsOf(kind.documentation?.fields ?? {})
  const found = new Map<string, Difference>()
  const say = (path: string, what: What, detail: string): void => {
    found.set(`${path} ${what}`, { kind: kind.kind, path, what, detail })
  }

  for (const known of [...recorded, documented]) {
    for (const [path, { facts, isAlways }] of known) {
      const codes = new Set(codesOf(ours.get(path)?.facts ?? []))
      const lost = recorded.includes(known) ? codesOf(facts).filter((code) => !codes.has(code)) : []
      if (lost.length > 0) say(path, "missing", `code ${lost.join("|")}`)
      if (!isAlways || ours.get(path)?.isAlways === true || isInside(path, known, ours)) continue
      say(path, "missing", `${facts.join(" or ")}${ours.has(path) ? ", not always there" : ""}`)
    }
  }
  for (const [path, { facts }] of ours) {
    const seen = recorded.flatMap((known) => known.get(path)?.facts ?? [])
    const known = [...seen, ...(documented.get(path)?.facts ?? [])]
    if (known.length === 0) {
      if (!isInside(path, ours, new Map([...recorded, documented].flatMap((all) => [...all])))) {
        say(path, "unknown", facts.join(" or "))
      }
      continue
    }
    const types = new Set(known.flatMap(typesOf))
    for (const fact of facts) {
      const detail = `${fact}, not ${[...new Set(known)].join(" or ")}`
      if (!typesOf(fact).some((type) => types.has(type))) say(path, "other type", detail)
      else if (seen.length > 0 && !seen.some((other) => isLike(fact, other))) say(path, "other format", detail)
    }
  }
  return [...found.values()]
}

const codesOf = (facts: ReadonlyArray<string>): ReadonlyArray<string> =>
  facts.flatMap((fact) => (fact.startsWith("code ") ? fact.slice("code ".length).split("|") : []))

/** Whether what it stands in is not there either, which is said once. */
const isInside = (path: string, known: Fields, there: Fields): boolean => {
  for (let at = path.length - 1; at > 0; at--) {
    const outer = path.slice(0, at)
    if (known.has(outer) && !there.has(outer)) return true
  }
  return false
}

const typesOf = (fact: string): ReadonlyArray<string> => {
  if (fact === "quoted" || /^(integer|milliseconds|microseconds|number)$/.test(fact)) return ["number"]
  if (fact.startsWith("code")) return ["number"]
  return /^(null|boolean|array|object)$/.test(fact) ? [fact] : ["string"]
}

/** Whether a value that is like this could be one that was seen like that. */
const isLike = (fact: string, seen: string): boolean => {
  if (fact === seen) return true
  if (seen === "text") return /^(word|digits|empty)/.test(fact)
  if (seen === "quoted") return /^(integer|milliseconds)$/.test(fact)
  // Which code it is depends on the request: that all recorded ones come is seen from the other side.
  if (fact.startsWith("code") && seen.startsWith("code")) return true
  // Any of the exchange's constants where a constant stands: which one it is depends on the order.
  return fact.startsWith("word") && seen.startsWith("word")
}
