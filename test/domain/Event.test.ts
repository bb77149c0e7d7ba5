import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, BigDecimal, Effect, Equal, Result } from "effect"
import { readFileSync } from "node:fs"
import { decimal, equals } from "../../src/domain/Decimal.ts"
import { AccountEvent, decode, encode, isOrderEvent, OrderEvent } from "../../src/domain/Event.ts"
import { holds } from "./property.ts"

// Written once by hand. A row may be added; none may ever be changed, for logs contain it.
const fixture: Readonly<Record<string, Readonly<Record<string, unknown>>>> = JSON.parse(
  readFileSync(new URL("fixtures/events-v1.json", import.meta.url), "utf8")
)
const rows = Object.entries(fixture)
// Shapes with the keys that came later: the same rule.
const later: Readonly<Record<string, { readonly type: string; readonly data: Readonly<Record<string, unknown>> }>> =
  JSON.parse(readFileSync(new URL("fixtures/events-v1-later.json", import.meta.url), "utf8"))
const types = [...Object.keys(OrderEvent.cases), ...Object.keys(AccountEvent.cases)]

const sample = (type: string): Readonly<Record<string, unknown>> =>
  fixture[type] ?? assert.fail(`no fixture of ${type}`)

// The generator also makes amounts beyond a decimal's 20 and 18 digits, which the border lets nobody bring in.
const inRange = <A>(value: A): A => {
  if (BigDecimal.isBigDecimal(value)) return BigDecimal.make(value.value % 10n ** 20n, Math.abs(value.scale) % 19) as A
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, inRange(member)])) as A
}

describe("events of schema version 1", () => {
  it("have a fixture each, and no fixture is of a type that is gone", () => {
    assert.deepStrictEqual(Object.keys(fixture).sort(), types.sort())
  })

  it.each(rows)("%s is read and written again as it lies in old logs", (type, data) => {
    assert.deepStrictEqual(encode(Result.getOrThrow(decode(type, 1, data))), { type, data })
  })

  it.each(Object.entries(later))("%s is read and written again as it lies in later logs", (_, { data, type }) => {
    assert.deepStrictEqual(encode(Result.getOrThrow(decode(type, 1, data))), { type, data })
  })

  it.each(rows.flatMap(([type, data]) => Object.keys(data).map((key) => [type, key] as const)))(
    "%s without its %s is unreadable",
    (type, key) => {
      const { [key]: _, ...rest } = sample(type)

      assert.strictEqual(Result.getOrThrow(Result.flip(decode(type, 1, rest)))._tag, "UnreadableEvent")
    }
  )

  it("hold every amount as text: a JavaScript number in its place is unreadable", () => {
    const amounts = [
      ["OrderFilled", "price"],
      ["OrderFilled", "quantity"],
      ["OrderFilled", "fee"],
      ["OrderCompleted", "executedQuantity"],
      ["OrderCompleted", "executedQuote"],
      ["OrderCancelled", "executedQuantity"],
      ["OrderExpired", "executedQuantity"]
    ] as const
    for (const [type, key] of amounts) {
      assert.isString(sample(type)[key])
      assert.isTrue(Result.isFailure(decode(type, 1, { ...sample(type), [key]: 1 })), `${type}.${key}`)
    }
  })

  it("keep amounts exact, far below what a JavaScript number can tell apart", () => {
    const event = Result.getOrThrow(
      decode("OrderFilled", 1, { ...sample("OrderFilled"), price: "9007199254740993.000000000000000001" })
    )

    assert.isTrue(event._tag === "OrderFilled" && equals(event.price, decimal("9007199254740993.000000000000000001")))
  })

  it.effect("any event at all survives the way through JSON text", () =>
    Effect.gen(function* () {
      const survived = new Set<string>()

      yield* holds(
        Arbitrary.map(Arbitrary.schema(OrderEvent), inRange),
        (event) => {
          const { data, type } = encode(event)
          survived.add(type)
          const back = Result.getOrThrow(decode(type, 1, JSON.parse(JSON.stringify(data))))
          return Equal.equals(back, event) ? [] : [`${type} came back as another event`]
        },
        { runs: 500, seed: 1, size: 20 }
      )

      assert.deepStrictEqual([...survived].sort(), Object.keys(OrderEvent.cases).sort())
    })
  )
})

describe("what this release does not know", () => {
  it("is an unreadable event, named with its type and version", () => {
    const unknown = Result.getOrThrow(Result.flip(decode("OrderAmended", 1, {})))
    const newer = Result.getOrThrow(Result.flip(decode("CancelRequested", 2, sample("CancelRequested"))))

    assert.deepInclude(unknown, { type: "OrderAmended", schemaVersion: 1, detail: "unknown type" })
    assert.deepInclude(newer, { type: "CancelRequested", schemaVersion: 2, detail: "unknown schema version" })
  })

  it.each([[null], ["text"], [1], [[]], [undefined]])("data that is %j is unreadable, not a crash", (data) => {
    assert.isTrue(Result.isFailure(decode("CancelRequested", 1, data)))
  })

  it("cannot hide behind a type inside the data", () => {
    const event = Result.getOrThrow(decode("CancelRequested", 1, { ...sample("CancelRequested"), _tag: "OrderFailed" }))

    assert.strictEqual(event._tag, "CancelRequested")
  })

  it("an integer beyond 2^53, a fraction of a millisecond and an unknown source are refused", () => {
    const started = sample("SubmissionStarted")

    assert.isTrue(Result.isFailure(decode("SubmissionStarted", 1, { ...started, timestamp: 2 ** 53 })))
    assert.isTrue(Result.isFailure(decode("SubmissionStarted", 1, { ...started, timestamp: 1.5 })))
    assert.isTrue(Result.isFailure(decode("OrderFilled", 1, { ...sample("OrderFilled"), source: "local" })))
  })
})

describe("the two kinds of stream", () => {
  it("share no event type", () => {
    for (const [type, data] of rows) {
      const event = Result.getOrThrow(decode(type, 1, data))
      assert.strictEqual(isOrderEvent(event), type in OrderEvent.cases, type)
    }
  })
})
