/**
 * The simulator against answers of the real exchange, which nobody here wrote: every field that was recorded or is
 * documented, its JSON type and its format. `recordings/` has the facts, `explained.ts` what may differ and why.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { generateKeyPairSync, sign } from "node:crypto"
import { Effect } from "effect"
import { readKinds } from "../../tools/recordings/files.ts"
import { askEverything, type Heard } from "../../tools/recordings/scenario.ts"
import { shapeOf } from "../../tools/recordings/shape.ts"
import { credentials, startSimulator } from "./client.ts"
import { compareShapes, type Difference } from "../../tools/recordings/compare.ts"
import { explains, explanations, isExplained, neverHeard } from "./explained.ts"

const kinds = readKinds()
const { privateKey, publicKey } = generateKeyPairSync("ed25519")
const scenarioMillis = 90_000

const hear = Effect.gen(function* () {
  const publicKeys = [publicKey.export({ type: "spki", format: "pem" }).toString()]
  const simulator = yield* startSimulator({ tickMs: 50, publicKeys })
  return yield* Effect.promise(() =>
    askEverything({
      rest: simulator.url,
      webSocketApi: simulator.wsApiUrl,
      streams: `ws://127.0.0.1:${simulator.port}`,
      ...credentials,
      signLogon: (payload) => sign(null, Buffer.from(payload), privateKey).toString("base64"),
      announceShutdown: simulator.faults.announceShutdown
    })
  )
})

let heard: Heard = new Map()
let differences: ReadonlyArray<Difference> = []

beforeAll(async () => {
  heard = await Effect.runPromise(Effect.scoped(hear))
  differences = kinds.flatMap((kind) => {
    const answers = heard.get(kind.kind)
    return answers === undefined ? [] : compareShapes(kind, shapeOf(answers))
  })
}, scenarioMillis)

describe("what the simulator answers", () => {
  it("has every recorded and documented field with its type and format, and no other, but for what is explained", () => {
    const unexplained = differences.filter((difference) => !isExplained(difference))

    assert.deepStrictEqual(
      unexplained.map(({ detail, kind, path, what }) => `${kind}: ${path} is ${what}: ${detail}`),
      []
    )
  })

  it("is heard of every kind that is recorded or documented", () => {
    const missing = kinds.map(({ kind }) => kind).filter((kind) => !heard.has(kind))

    assert.deepStrictEqual(missing, Object.keys(neverHeard))
  })

  it("is of no kind that nothing is known of", () => {
    const known = new Set(kinds.map(({ kind }) => kind))

    assert.deepStrictEqual(
      [...heard.keys()].filter((kind) => !known.has(kind)),
      []
    )
  })
})

describe("what is explained", () => {
  it.each(explanations)("is still so: $kinds $paths $what", (explanation) => {
    assert.isTrue(differences.some((difference) => explains(explanation, difference)))
  })
})

describe("a recording", () => {
  it("names its place, and what has none is the documentation's word alone", () => {
    for (const { documentation, kind, recordings } of kinds) {
      assert.isTrue(recordings.length > 0 || documentation !== undefined, kind)
      if (documentation !== undefined) assert.match(documentation.source.documented, /^https:/, kind)
      for (const { source } of recordings) {
        if ("live" in source) continue
        assert.match(source.repository, /^[\w.-]+\/[\w.-]+$/, kind)
        assert.match(source.commit, /^[0-9a-f]{40}$/, kind)
        assert.notStrictEqual(source.path, "", kind)
      }
    }
  })
})
