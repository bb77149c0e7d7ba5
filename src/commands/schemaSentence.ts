/** What an operator should know of a schema that is not this release's own. */
import { note, ok } from "../engine/Doctor.ts"
import type { SchemaState } from "../sql/Migrations.ts"

/** Null: it is this release's own. */
export const schemaSentence = ({ lacking, later }: SchemaState): string | null => {
  if (lacking.length > 0) return `the database lacks ${lacking.join(", ")}, and is served as it is: run "nexus migrate"`
  if (later.length > 0) return `a later release brought ${later.join(", ")}; this one serves without it`
  return null
}

/** The same as a line of `nexus doctor`. */
export const schemaFinding = (where: string, state: SchemaState) => {
  const said = schemaSentence(state)
  if (said === null) return ok("database", where)
  return note(
    "database",
    `${where}: ${said}`,
    state.lacking.length > 0 ? "nexus migrate" : "finish the upgrade, or go back"
  )
}
