/**
 * Tells whether a migration only expands: what the release before it reads, writes and calls must be there afterwards
 * as it was, and take what that release sends.
 *
 * A list of what is allowed, not of what is forbidden: a statement of a form that is not known here is a fault. What a
 * file has made itself it may change.
 */
import { statementsOf } from "../../src/sql/statements.ts"

/** Statements that take something away. */
export interface Removal {
  readonly file: string
  /** Of the statement, on one line. */
  readonly begins: string
  /** The last release that used what goes; null: none ever did. */
  readonly lastUsedIn: string | null
  /** The release that brings the file; later than that one. */
  readonly removedIn: string
}

const name = String.raw`("[^"]+"|[\w.]+)`
const made = new RegExp(`^create (?:table|type|view|function|sequence|materialized view) ${name}`)
const index = new RegExp(`^create (unique )?index (?:if not exists )?${name}? ?on ${name}`)
const trigger = new RegExp(`^create trigger ${name} .*? on ${name}`)
const altered = new RegExp(`^alter table ${name} (.*)$`)
const revoked = new RegExp(`^revoke .*? on (?:function |table )?(.*) from (.*)$`)
const always = /^(comment on|grant|create (table|type|view|function|sequence|materialized view)) /
/** An enumeration of PostgreSQL may grow; nothing that is sent today becomes wrong by that. */
const grows = /^alter type \S+ add value /

/** Sentences; none is good. */
export const expansionFaults = (
  file: string,
  text: string,
  removals: ReadonlyArray<Removal>
): ReadonlyArray<string> => {
  const own = new Set<string>()
  return statementsOf(text).flatMap((raw) => {
    const statement = onOneLine(raw)
    const makes = made.exec(statement)?.[1]
    if (makes !== undefined) own.add(makes)
    const why = faultOf(statement, own)
    if (why === null) return []
    const isKnown = removals.some((one) => one.file === file && statement.startsWith(one.begins))
    return isKnown ? [] : [`${file}: "${statement.slice(0, 80)}" ${why}`]
  })
}

const onOneLine = (statement: string): string =>
  statement
    .replaceAll(/\/\*[\s\S]*?\*\//g, " ")
    .replaceAll(/--.*$/gm, " ")
    // What a body does is the function's own business.
    .replaceAll(/\$(\w*)\$[\s\S]*?\$\1\$/g, "''")
    .replaceAll(/'(?:[^']|'')*'/g, "''")
    .replaceAll(/\s+/g, " ")
    .trim()
    .toLowerCase()

const faultOf = (statement: string, own: ReadonlySet<string>): string | null => {
  if (statement.startsWith("create or replace "))
    return "replaces what the release before it uses: give it another name"
  if (always.test(statement) || grows.test(statement)) return null
  // Of the first file, which refuses a server that it cannot be applied to.
  if (statement.startsWith("do ''")) return null
  const onIndex = index.exec(statement)
  if (onIndex !== null) {
    const [, unique, , table = ""] = onIndex
    return unique === undefined || own.has(table) ? null : "refuses rows that the release before it may write"
  }
  const onTrigger = trigger.exec(statement)
  if (onTrigger !== null) return own.has(onTrigger[2]!) ? null : "changes what the release before it does"
  const onRevoke = revoked.exec(statement)
  if (onRevoke !== null) {
    const objects = onRevoke[1]!.replaceAll(/\([^)]*\)/g, "").split(",")
    return objects.every((object) => own.has(object.trim())) ? null : "takes a right from the release before it"
  }
  const onTable = altered.exec(statement)
  if (onTable !== null) {
    if (own.has(onTable[1]!)) return null
    return actionsOf(onTable[2]!).every(isAddition) ? null : "changes a table that the release before it uses"
  }
  return "is no expansion, or of a form that is not known to be one"
}

/** Split at the commas that stand in no brackets. */
const actionsOf = (text: string): ReadonlyArray<string> => {
  const actions: Array<string> = [""]
  let depth = 0
  for (const character of text) {
    if (character === "(") depth += 1
    if (character === ")") depth -= 1
    if (character === "," && depth === 0) actions.push("")
    else actions[actions.length - 1] += character
  }
  return actions.map((action) => action.trim())
}

/** A column that may be left out, and that takes anything. */
const isAddition = (action: string): boolean =>
  action.startsWith("add column ") &&
  (!/ not null/.test(action) || / default /.test(action)) &&
  !/ (unique|primary key|check|references|generated|exclude)\b/.test(action)
