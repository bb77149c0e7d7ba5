/** The table of kafkajs' defects in docs/decisions/0006: each test that it names is there, word for word. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"

const here = import.meta.dirname
const decision = join(here, "../../docs/decisions/0006-kafkajs-behind-a-port.md")

interface Row {
  readonly defect: string
  readonly reproduced: ReadonlyArray<string>
  readonly absent: ReadonlyArray<string>
}

const rows: ReadonlyArray<Row> = readFileSync(decision, "utf8")
  .split("\n")
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .filter(([, name]) => /^K\d+$/.test(name ?? ""))
  .map(([, defect, , reproduced, absent]) => ({
    defect: defect!,
    reproduced: reproduced!.split("<br>"),
    absent: absent!.split("<br>")
  }))

/** "`file`: name", or the beginning of a name and "…". */
const isThere = (named: string): boolean => {
  const found = /^`([^`]+)`: (.+?)…?$/.exec(named)
  return found !== null && readFileSync(join(here, found[1]!), "utf8").includes(found[2]!)
}

describe("the table of kafkajs' defects", () => {
  it("has a row for each", () => {
    assert.deepStrictEqual(
      rows.map(({ defect }) => defect),
      Array.from({ length: 13 }, (_, n) => `K${n + 1}`)
    )
  })

  it.each(rows)("names for $defect tests that exist", ({ absent, defect, reproduced }) => {
    const all = defect === "K9" ? absent : [...reproduced, ...absent]

    assert.deepStrictEqual(
      all.filter((named) => !isThere(named)),
      []
    )
  })
})
