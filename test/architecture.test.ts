/**
 * The architecture, held: the repository breaks none of its rules, and each rule catches a planted fault.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { check, type SourceFile, type Violation } from "./harness/architecture/check.ts"
import { topLevel } from "./harness/architecture/table.ts"

const root = join(import.meta.dirname, "..")

const repository = (): ReadonlyArray<SourceFile> =>
  ["src", "test", "bench", "tools"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
      // The foreign clients bring packages of their own.
      .filter((entry) => !entry.parentPath.includes("node_modules"))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => ({ path: path.slice(root.length + 1), text: readFileSync(path, "utf8") }))
  )

const told = ({ found, line, path, rule }: Violation) => `${path}:${line} ${rule} (${found})`

describe("the repository", () => {
  it("breaks no rule of the architecture", () => {
    const files = repository()

    assert.isAbove(files.filter(({ path }) => path.startsWith("src/")).length, 0)
    assert.deepStrictEqual(check(files).map(told), [])
  })

  it("has nothing at its top level that no decision speaks of", () => {
    const ignored = readFileSync(join(root, ".gitignore"), "utf8")
      .split("\n")
      .map((line) => line.replace(/\/$/, ""))

    const strangers = readdirSync(root).filter(
      (name) => name !== ".git" && !topLevel.has(name) && !ignored.includes(name) && !name.endsWith(".log")
    )

    assert.deepStrictEqual(strangers, [])
  })
})

describe("a planted fault is found:", () => {
  const planted: ReadonlyArray<readonly [name: string, path: string, text: string, rule: string]> = [
    [
      "an import upward",
      "src/domain/a.ts",
      `import { x } from "../engine/Engine.ts"`,
      "imports go downward only, never sideways"
    ],
    [
      "an import sideways",
      "src/sql/a.ts",
      `import type { x } from "../kafka/wire.ts"`,
      "imports go downward only, never sideways"
    ],
    [
      "a re-export upward",
      "src/sql/a.ts",
      `export { x } from "../http/Api.ts"\nexport const y = 1`,
      "imports go downward only, never sideways"
    ],
    [
      "a dynamic import upward",
      "src/domain/a.ts",
      `const x = import("../sql/Database.ts")`,
      "imports go downward only, never sideways"
    ],
    [
      "an import of a file beside the folders",
      "src/config.ts",
      `import { x } from "./telemetry.ts"`,
      "imports go downward only, never sideways"
    ],
    [
      "a simulator that knows our domain",
      "src/simulator/a.ts",
      `import { x } from "../domain/Decimal.ts"`,
      "simulator/ sees only itself"
    ],
    [
      "an engine that knows the simulator",
      "src/engine/a.ts",
      `import { x } from "../simulator/Server.ts"`,
      "only main and cli see simulator/"
    ],
    [
      "a page that knows more than the contract",
      "src/web/a.ts",
      `import { x } from "../http/Server.ts"`,
      "web/ sees only src/http/Api.ts"
    ],
    [
      "a key of the configuration taken past its door",
      "src/engine/a.ts",
      `import { keys } from "../config/keys.ts"`,
      "config/ is imported through src/config.ts only"
    ],
    [
      "a type of the configuration taken past its door",
      "src/main.ts",
      `import type { Config } from "./config/Config.ts"`,
      "config/ is imported through src/config.ts only"
    ],
    [
      "a tool that goes past a door",
      "tools/proofs/a.ts",
      `import { keys } from "../../src/config/keys.ts"`,
      "config/ is imported through src/config.ts only"
    ],
    ["a file in no room", "src/payments/a.ts", "export const x = 1", "every file of src stands in a room of the table"],
    [
      "a second writer of the log",
      "src/engine/Relay.ts",
      `import { EventStore } from "../sql/EventStore.ts"\nconst store = yield* EventStore\nyield* store.append(x)`,
      "only engine/Engine.ts appends to the log"
    ],
    [
      "a second writer that unpacks the store",
      "src/http/a.ts",
      `import { EventStore } from "../sql/EventStore.ts"\nconst { append } = yield* EventStore`,
      "only engine/Engine.ts appends to the log"
    ],
    [
      "layers joined outside main",
      "src/http/Server.ts",
      `import { Engine } from "../engine/Engine.ts"\nconst l = x.pipe(Layer.provide([Engine.layer]))`,
      "only main.ts joins layers"
    ],
    [
      "a layer function handed in outside main",
      "src/cli.ts",
      `import { Database } from "./sql/Database.ts"\nEffect.provide(x, Database.layerOf(y))`,
      "only main.ts joins layers"
    ],
    ["SQL in the engine", "src/engine/a.ts", "const q = `\n  SELECT 1\n  FROM orders `", "SQL only in sql/"],
    ["an SQL template in the audit", "src/audit/a.ts", "const q = sql<Row>`anything`", "SQL only in sql/"],
    ["a database client in http", "src/http/a.ts", `import { SqlClient } from "effect/sql"`, "SQL only in sql/"],
    ["kafkajs in the engine", "src/engine/a.ts", `import { Kafka } from "kafkajs"`, "kafkajs only in kafka/"],
    [
      "an exchange path in the engine",
      "src/engine/a.ts",
      `const path = "/api/v3/order"`,
      "Binance paths only in binance/ and simulator/"
    ],
    [
      "an exchange code in the domain",
      "src/domain/a.ts",
      "const gone = code === -2011",
      "Binance codes only in binance/ and simulator/"
    ],
    ["an exit in the middle", "src/main.ts", "process.exit(1)", "process.exit only in cli.ts"],
    [
      "a look at the environment",
      "src/sql/a.ts",
      "const url = process.env.DATABASE_URL",
      "process.env only in config.ts"
    ],
    [
      "a look at the environment behind the door of the configuration",
      "src/config/a.ts",
      "const url = process.env.DATABASE_URL",
      "process.env only in config.ts"
    ],
    [
      "an import upward from behind a door",
      "src/config/a.ts",
      `import { x } from "../telemetry.ts"`,
      "imports go downward only, never sideways"
    ],
    [
      "an environment by another name",
      "src/sql/a.ts",
      `import { env } from "node:process"`,
      "process is used by its global name, so that the two rules above see it"
    ],
    [
      "the wall clock in the engine",
      "src/engine/a.ts",
      "const at = Date.now()",
      "time, chance and ids come from services"
    ],
    ["a new date in the domain", "src/domain/a.ts", "const at = new Date()", "time, chance and ids come from services"],
    ["chance in the engine", "src/engine/a.ts", "const x = Math.random()", "time, chance and ids come from services"],
    ["a timer in the engine", "src/engine/a.ts", "setTimeout(f, 1)", "time, chance and ids come from services"],
    [
      "a promise in the engine",
      "src/engine/a.ts",
      "const p: Promise<void> = f()",
      "time, chance and ids come from services"
    ],
    [
      "a random id in the domain",
      "src/domain/a.ts",
      "const id = crypto.randomUUID()",
      "time, chance and ids come from services"
    ],
    [
      "an effect in the domain",
      "src/domain/a.ts",
      `import { Effect, Schema } from "effect"`,
      "domain/ uses Effect's data modules, not the Effect type"
    ],
    ["a barrel", "src/sql/all.ts", `export * from "./Database.ts"\nexport { x } from "./Cursors.ts"`, "no barrels"],
    ["a name that says nothing", "src/engine/utils.ts", "export const x = 1", "names say what is inside"],
    ["a folder that says nothing", "test/common/x.ts", "export const x = 1", "names say what is inside"],
    ["a test of nothing", "test/sql/Nothing.test.ts", "", "a test stands where the file it tests stands in src"]
  ]

  it.for(planted)("%s", ([, path, text, rule]) => {
    assert.include(
      check([{ path, text }]).map((violation) => violation.rule),
      rule
    )
  })

  it("and what is allowed is left alone", () => {
    const allowed: ReadonlyArray<SourceFile> = [
      {
        path: "src/engine/Engine.ts",
        text: `import { EventStore } from "../sql/EventStore.ts"\nyield* store.append(x) // not process.env`
      },
      {
        path: "src/engine/Relay.ts",
        text: `import { EventStore } from "../sql/EventStore.ts"\nArr.append(xs, x); const n = a -1000`
      },
      { path: "src/main.ts", text: `import { Engine } from "./engine/Engine.ts"\nLayer.provide(Engine.layer)` },
      {
        path: "src/sql/Leases.ts",
        text: 'import { Pool } from "./Pool.ts"\n/* Date.now */ sql`select 1 from x`; Layer.provide(Pool.layer)'
      },
      {
        path: "src/http/a.ts",
        text: `const words = "select one of them"; const ours = "/api/v1/orders"; const url = "https://x/y" // process.exit`
      },
      { path: "src/config.ts", text: `import { keys } from "./config/keys.ts"\nconst all = process.env` },
      { path: "src/config/keys.ts", text: `import { Key } from "./Key.ts"` },
      { path: "test/config/keys.test.ts", text: `import { keys } from "../../src/config/keys.ts"` },
      { path: "tools/proofs/a.ts", text: `import { AppConfig } from "../../src/config.ts"` },
      { path: "test/sql/Leases.expiry.integration.test.ts", text: "" },
      { path: "test/restart.integration.test.ts", text: "" }
    ]

    assert.deepStrictEqual(check(allowed).map(told), [])
  })

  it("with the line where it stands", () => {
    const [violation] = check([{ path: "src/engine/a.ts", text: "/* one\n two */\nMath.random()" }])

    assert.strictEqual(violation?.line, 3)
  })
})
