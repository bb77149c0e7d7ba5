/** docs/operations.md, held to the program: every sentence in which it says that something is away is explained there. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { metricNames } from "../../src/telemetry.ts"
import { configured, root, textOf } from "./deployments.ts"

const document = textOf("docs/operations.md")

/** Quotes and white space apart, and "…" for whatever the program fills in. */
const plain = (text: string) =>
  text
    .replaceAll(/\$\{[^}]*\}/g, "…")
    .replaceAll(/… s\b/g, "…")
    .replaceAll(/(?<=\w)…/g, " …")
    .replaceAll(/\\?["`]/g, "")
    .replaceAll(/\s+/g, " ")

/** What stands in quotes of either kind and is a sentence: more than two words. */
const sentencesOf = (code: string): ReadonlyArray<string> =>
  [...code.matchAll(/"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g)]
    .map(([, quoted, template]) => plain(quoted ?? template ?? ""))
    .filter((text) => text.split(" ").length > 2)

const between = (path: string, from: string, to: string): string => {
  const text = textOf(path)
  const begin = text.indexOf(from)
  const end = text.indexOf(to, begin)
  assert.isAbove(begin, -1, `${path} has no ${from}`)
  assert.isAbove(end, begin, `${path} has no ${to} after it`)
  return text.slice(begin, end)
}

/** The places of the program that word readiness, each from its beginning to its end. */
const places: ReadonlyArray<readonly [path: string, from: string, to: string]> = [
  ["src/engine/Health.ts", "const away = ", "const metrics = "],
  ["src/engine/ExchangeOutlook.ts", "const detailOf = ", "const seconds = "],
  ["src/binance/BinanceClient.ts", "health: Effect.gen", "return (yield* breaker.state)"],
  ["src/binance/BinanceClient.ts", "return (yield* breaker.state)", "})\n"],
  ["src/kafka/SubscriptionStatus.ts", "problem(): string | null", "return null\n  }"],
  ["src/kafka/KafkaBus.ts", "let topicsProblem", "\n"],
  ["src/kafka/SendsInFlight.ts", "hanging(now: number)", "\n  }\n"],
  ["src/kafka/EventBus.ts", "return `the bus is not available", "\n"],
  ["src/sql/StoreUnavailable.ts", "return `PostgreSQL", "\n"],
  ["src/sql/Database.ts", "if (row.read_only) return", "// Cancelling a statement"],
  ["src/sql/Database.ts", "orElse: () => Effect.succeed(`PostgreSQL did not", ",\n"]
]

describe("operations.md", () => {
  const told = plain(document)

  it.for(places)("explains what %s says from %s", ([path, from, to]) => {
    const sentences = sentencesOf(between(path, from, to))

    assert.isNotEmpty(sentences)
    for (const sentence of sentences) {
      // A sentence may begin or end with what it is about.
      const core = sentence.replace(/^(… ?)+|[ :]*…*$/g, "").replace(/^: /, "")
      assert.include(told, core, `${path} says: ${sentence}`)
    }
  })

  it("explains why Kafka and this program may not come together", () => {
    const sentences = sentencesOf(textOf("src/kafka/accessFaults.ts")).filter((text) => text.startsWith("Kafka"))

    assert.isAbove(sentences.length, 7)
    // Up to the remedy, which the sentence itself has.
    for (const sentence of sentences) {
      const begin = sentence.split(/[:.] /)[0]!.replace(/^Kafka's certificate/, "")
      assert.include(told, begin, sentence)
    }
  })

  it("alarms by metrics that exist, with the labels that they have", () => {
    const alarms = document.split("\n## ").find((section) => section.startsWith("Alarms"))!
    const named = [...alarms.matchAll(/\b(nexus_\w+)(?:\{(\w+)=)?/g)]
    const health = textOf("src/engine/Health.ts") + textOf("src/engine/ExchangeOutlook.ts")

    assert.isAbove(named.length, 8)
    for (const [, name, label] of named) {
      const [key] = Object.entries(metricNames).find(([, one]) => one === name) ?? []
      assert.include(health, `metricNames.${key}`, name)
      if (label !== undefined) assert.match(health, new RegExp(`labels: \\{ ${label}:`), name)
    }
  })

  it("names keys, variables and files that exist", () => {
    const example = textOf("config.yaml")
    for (const [, section, key] of document.matchAll(
      /`(http|execution|leases|kafka|database|app)\.(?:testnet\.)?([a-z_]+)`/g
    )) {
      assert.match(example, new RegExp(`^${section}:\\n(?:[ #].*\\n|\\n)*? +${key}:`, "m"), `${section}.${key}`)
    }
    // An unknown variable of ours is a fault of the configuration.
    const variables = [...document.matchAll(/\b(NEXUS_[A-Z_]+)\b/g)].map(([, name]) => name!)
    const made = configured(Object.fromEntries(variables.map((name) => [name, ""])))
    assert.strictEqual(made._tag, "Success")
    assert.isTrue(existsSync(join(root, "deploy/kubernetes/jobs.yaml")))
  })
})
