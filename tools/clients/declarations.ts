/**
 * What the exchange's own connector declares its answers to be, read from its declaration file: for each method the
 * fields of its answer with their types. They were generated from the exchange's description of its API, so they are
 * a judge that shares nothing with the simulator.
 *
 * Reads only the forms that such generated files have: interfaces of optional fields, arrays, and unions of names.
 */
import { readFileSync } from "node:fs"
import type { Step } from "./script.ts"

type Fields = ReadonlyMap<string, string>

export interface Declarations {
  /** The type of a REST method's answer. */
  readonly answerOf: (method: string) => string | undefined
  /** The type of an event, by the part of the API that declares it and its name there. */
  readonly eventOf: (part: "websocket-api" | "websocket-streams", name: string) => string | undefined
  readonly fields: (type: string) => Fields | undefined
  readonly itemOf: (type: string) => string | undefined
  readonly members: (type: string) => ReadonlyArray<string> | undefined
}

const interfaceForm = /^interface (\S+)(?: extends (\S+))? \{(.*)\}?$/
const fieldForm = /^ {2}"?([A-Za-z0-9_-]+)"?\??: (.+);$/
const unionForm = /^type (\S+) = ([^;{}()]+);$/
const arrayForm = /^Array<(.+)>$/
const partForm = /^\/\/#region src\/([a-z-]+)\/types\//
const methodForm = /^ {2}(\w+)\(.*\): Promise<RestApiResponse<(.+)>>;$/

export const readDeclarations = (path: string): Declarations => {
  const fields = new Map<string, Map<string, string>>()
  const parents = new Map<string, string>()
  const unions = new Map<string, ReadonlyArray<string>>()
  const answers = new Map<string, string>()
  const events = new Map<string, string>()
  let open: Map<string, string> | undefined
  let part = ""
  for (const line of readFileSync(path, "utf8").split("\n")) {
    part = partForm.exec(line)?.[1] ?? part
    const [, name, parent, rest] = interfaceForm.exec(line) ?? []
    if (name !== undefined) {
      const own = new Map<string, string>()
      fields.set(name, own)
      // Names that several parts have are told apart by a number.
      events.set(`${part} ${name.replace(/\$\d+$/, "")}`, name)
      if (parent !== undefined) parents.set(name, parent)
      open = rest === "}" ? undefined : own
      continue
    }
    if (line === "}") open = undefined
    const [, field, type] = fieldForm.exec(line) ?? []
    if (open !== undefined && field !== undefined && type !== undefined) open.set(field, type)
    const [, union, members] = unionForm.exec(line) ?? []
    if (union !== undefined && members !== undefined) unions.set(union, members.split(" | "))
    const [, method, answer] = methodForm.exec(line) ?? []
    if (method !== undefined && answer !== undefined) answers.set(method, answer)
  }
  const itemOf = (type: string): string | undefined => arrayForm.exec(parents.get(type) ?? type)?.[1]
  return {
    answerOf: (method) => answers.get(method),
    eventOf: (of, name) => events.get(`${of} ${name}`),
    itemOf,
    members: (type) => unions.get(type) ?? (type.includes(" | ") ? type.split(" | ") : undefined),
    fields: (type) => {
      const own = fields.get(type)
      const parent = parents.get(type)
      if (own === undefined || parent === undefined || itemOf(type) !== undefined) return own
      return new Map([...(fields.get(parent) ?? []), ...own])
    }
  }
}

/** What is wrong with a value, and which declared fields it has and lacks, by their path. */
export interface Verdict {
  readonly faults: Set<string>
  readonly seen: Set<string>
  readonly lacking: Set<string>
}

export const newVerdict = (): Verdict => ({ faults: new Set(), seen: new Set(), lacking: new Set() })

export const judge = (declared: Declarations, value: unknown, type: string, path: string, verdict: Verdict): void => {
  const primitive = primitives[type]
  if (primitive !== undefined) {
    if (value !== null && !primitive.includes(typeof value))
      verdict.faults.add(`${path} is a ${typeof value}, not a ${type}`)
    return
  }
  const item = declared.itemOf(type)
  if (item !== undefined) {
    if (!Array.isArray(value)) return void verdict.faults.add(`${path} is no array`)
    for (const one of value) judge(declared, one, item, `${path}[]`, verdict)
    return
  }
  const members = declared.members(type)
  if (members !== undefined) return judgeUnion(declared, value, members, path, verdict)
  const fields = declared.fields(type)
  // A literal, or a form that is not read: nothing is said about it.
  if (fields === undefined) return
  if (typeof value !== "object" || value === null) return void verdict.faults.add(`${path} is no object`)
  for (const name of Object.keys(value)) {
    if (!fields.has(name)) verdict.faults.add(`${path}.${name} is not declared`)
  }
  for (const [name, fieldType] of fields) {
    const inner = `${path}.${name}`
    if (!Object.hasOwn(value, name)) {
      verdict.lacking.add(inner)
      continue
    }
    verdict.seen.add(inner)
    judge(declared, (value as Readonly<Record<string, unknown>>)[name], fieldType, inner, verdict)
  }
}

const primitives: Readonly<Record<string, ReadonlyArray<string>>> = {
  string: ["string"],
  number: ["number"],
  bigint: ["number", "bigint"],
  boolean: ["boolean"],
  "number | bigint": ["number", "bigint"],
  "number | string": ["number", "string"]
}

/** The member that fits best is the one that is meant. */
const judgeUnion = (
  declared: Declarations,
  value: unknown,
  members: ReadonlyArray<string>,
  path: string,
  verdict: Verdict
): void => {
  const verdicts = members.map((member) => {
    const one = newVerdict()
    judge(declared, value, member, path, one)
    return one
  })
  const best = verdicts.reduce((found, one) => (one.faults.size < found.faults.size ? one : found))
  for (const kind of ["faults", "seen", "lacking"] as const) for (const one of best[kind]) verdict[kind].add(one)
}

/** A verdict as one step; what is tolerated is named by what it says. */
export const stepOf = (
  name: string,
  { faults, lacking, seen }: Verdict,
  isTolerated: (what: string) => boolean
): Step => {
  const missing = [...lacking].filter((path) => !seen.has(path)).map((path) => `${path} is missing`)
  const detail = [...faults, ...missing].filter((what) => !isTolerated(what)).join("; ")
  return { name, outcome: detail === "" ? "passed" : "failed", detail }
}
