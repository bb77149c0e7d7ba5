/**
 * Every key of config.yaml does what it says: each has a row that sets it to another value than its default and sees
 * the difference in the running parts. A key without a row fails.
 */
import { readFileSync } from "node:fs"
import { afterAll, assert, describe, it } from "vitest"
import { parse } from "yaml"
import { databaseRows } from "./configEffect/databaseRows.ts"
import { engineRows } from "./configEffect/engineRows.ts"
import { exchangeRows } from "./configEffect/exchangeRows.ts"
import { kafkaAccessRows, stopSecure } from "./configEffect/kafkaAccessRows.ts"
import { kafkaRows } from "./configEffect/kafkaRows.ts"
import { programRows } from "./configEffect/programRows.ts"
import { endPrograms } from "./configEffect/programs.ts"
import type { Rows } from "./configEffect/Row.ts"
import { storeRows } from "./configEffect/storeRows.ts"
import { supervisionRows } from "./configEffect/supervisionRows.ts"
import { describeKafka } from "./harness/kafka.ts"
import { describeSecure } from "./kafka/secureBroker.ts"

// The programs' own rows come last: they end what the others look at.
const rows = { ...engineRows, ...storeRows, ...supervisionRows, ...exchangeRows, ...databaseRows, ...programRows }

const leaves = (tree: object, prefix = ""): ReadonlyArray<string> =>
  Object.entries(tree).flatMap(([name, value]: [string, unknown]) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? leaves(value, `${prefix}${name}.`)
      : [`${prefix}${name}`]
  )

const testEach = (tests: Rows) =>
  it.for(Object.entries(tests).map(([key, { seenIn, test }]) => ({ key, seenIn, test })))(
    "$key: $seenIn",
    { timeout: 60_000 },
    ({ test }) => test()
  )

afterAll(endPrograms)
afterAll(stopSecure)

it("every key of config.yaml has a row here, and every row is a key", () => {
  const keys = leaves(parse(readFileSync(new URL("../config.yaml", import.meta.url), "utf8")))

  assert.deepStrictEqual(Object.keys({ ...rows, ...kafkaRows, ...kafkaAccessRows }).toSorted(), keys.toSorted())
})

describe("a key is seen in", () => testEach(rows))

describeKafka("a key of Kafka is seen in", () => testEach(kafkaRows))

describeSecure("a key of who is who is seen in", () => testEach(kafkaAccessRows))
