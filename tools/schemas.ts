/**
 * `npm run schemas`: JSON Schemas of all that stands on the events topic, into `docs/events/`.
 *
 * Made from the schemas that the program itself validates with, so that they cannot differ: one file per event type,
 * named as `ce_dataschema` names it, one for the marker in place of an event that could not be sent, and one for the
 * headers. A test compares the folder with what is made here.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Schema } from "effect"
import { AccountEvent, OrderEvent, schemaVersion } from "../src/domain/Event.ts"
import { Headers, MarkerData } from "../src/kafka/wire.ts"

export const folder = join(import.meta.dirname, "../docs/events")

/** File name and text. */
export const published = (): ReadonlyMap<string, string> => {
  const files = new Map<string, string>()
  const cases: Readonly<Record<string, Schema.Constraint>> = { ...OrderEvent.cases, ...AccountEvent.cases }
  for (const [type, schema] of Object.entries(cases)) {
    files.set(`${type}.json`, textOf(`urn:nexus:event:${type}:${schemaVersion}`, type, withoutTag(objectOf(schema))))
  }
  files.set("Skipped.json", textOf("urn:nexus:marker:1", "Skipped", objectOf(MarkerData)))
  files.set("headers.json", textOf("urn:nexus:headers:1", "Headers of a record", objectOf(Headers)))
  return files
}

interface ObjectSchema {
  readonly properties: Readonly<Record<string, unknown>>
  readonly required: ReadonlyArray<string>
}

const objectOf = (schema: Schema.Constraint): ObjectSchema & Readonly<Record<string, unknown>> => {
  const document = Schema.toJsonSchemaDocument(schema)
  if (Object.keys(document.definitions).length > 0) throw new Error("a schema refers to definitions: write them too")
  return { properties: {}, required: [], ...document.schema }
}

/** On the topic the type is in the headers, and the value is the data alone. */
const withoutTag = ({ properties, required, ...rest }: ReturnType<typeof objectOf>) => {
  const { _tag, ...fields } = properties
  return { ...rest, properties: fields, required: required.filter((name) => name !== "_tag") }
}

const textOf = ($id: string, title: string, schema: object): string =>
  `${JSON.stringify({ $schema: "https://json-schema.org/draft/2020-12/schema", $id, title, ...schema }, null, 2)}\n`

if (import.meta.main) {
  mkdirSync(folder, { recursive: true })
  const files = published()
  for (const name of readdirSync(folder)) if (name.endsWith(".json") && !files.has(name)) rmSync(join(folder, name))
  for (const [name, text] of files) writeFileSync(join(folder, name), text)
  console.log(`${files.size} files in ${folder}`)
}
