import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Ajv2020 } from "ajv/dist/2020.js"
import { assert, describe, it } from "vitest"
import { folder, published } from "../../tools/schemas.ts"

const fixtures = JSON.parse(
  readFileSync(join(import.meta.dirname, "../domain/fixtures/events-v1.json"), "utf8")
) as Readonly<Record<string, object>>

describe("the published schemas of events", () => {
  it("are what the program validates with today; else run: npm run schemas", () => {
    const committed = new Map(
      readdirSync(folder)
        .filter((name) => name.endsWith(".json"))
        .map((name) => [name, readFileSync(join(folder, name), "utf8")])
    )

    assert.deepStrictEqual(Object.fromEntries(committed), Object.fromEntries(published()))
  })

  it.each(Object.keys(fixtures))("allow every %s that was ever written, and not one without its fields", (type) => {
    const validate = new Ajv2020({ strict: true, formats: { uuid: true } }).compile(
      JSON.parse(published().get(`${type}.json`) ?? "false") as object
    )

    assert.isTrue(validate(fixtures[type]), JSON.stringify(validate.errors))
    assert.isFalse(validate({}))
  })
})
