import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { createHash } from "node:crypto"
import type { Provenance, SealedEvent, StoredEvent } from "../../src/domain/Envelope.ts"
import { canonicalJson, hashOf, isAsWritten, requestHashOf, seal } from "../../src/domain/Envelope.ts"
import { decimal } from "../../src/domain/Decimal.ts"
import type { OrderRequest } from "../../src/domain/Event.ts"
import { encode, OrderEvent } from "../../src/domain/Event.ts"
import { clientOrderId, filled, now, placed, request, started } from "./story.ts"

describe("canonical JSON", () => {
  // The examples of RFC 8785, 3.2.2 and 3.2.3, but for fractions, which nothing here contains.
  it("sorts names by their UTF-16 units, so that an astral name comes before U+FB33", () => {
    const value = {
      "\u20ac": "Euro Sign",
      "\r": "Carriage Return",
      "\ufb33": "Hebrew Letter Dalet With Dagesh",
      "1": "One",
      "\ud83d\ude00": "Emoji: Grinning Face",
      "\u0080": "Control",
      "\u00f6": "Latin Small Letter O With Diaeresis"
    }

    assert.deepStrictEqual(
      Object.values(
        JSON.parse(
          `[${canonicalJson(value)
            .slice(1, -1)
            .replace(/"[^"]*":/g, "")}]`
        )
      ),
      [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh"
      ]
    )
  })

  it("escapes what must be escaped in the short form, and nothing else", () => {
    assert.strictEqual(
      canonicalJson({ string: "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"/", literals: [null, true, false] }),
      `{"literals":[null,true,false],"string":"€$\\u000f\\nA'B\\"\\\\\\\\\\"/"}`
    )
  })

  it("leaves white space, absent members and the order of writing out", () => {
    assert.strictEqual(canonicalJson({ b: [], a: { d: 1, c: undefined, b: {} } }), `{"a":{"b":{},"d":1},"b":[]}`)
    assert.strictEqual(canonicalJson({ b: 2, a: 1 }), canonicalJson({ a: 1, b: 2 }))
  })

  it("writes the largest integers in full and a negative zero as zero", () => {
    assert.strictEqual(
      canonicalJson([Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER, -0]),
      "[9007199254740991,-9007199254740991,0]"
    )
  })
})

const provenance: Provenance = {
  commandId: "command-1",
  actor: "client",
  correlationId: "request-1",
  causationId: null,
  traceParent: null
}

const sealed = seal(
  { streamId: "order-1", version: 0, hash: "" },
  [placed, started(), filled("1", "1")],
  provenance,
  now,
  (index) => `event-${index}`
)

describe("sealing", () => {
  it("gives each event the next version and the hash of the one before", () => {
    assert.deepStrictEqual(
      sealed.map(({ eventId, version }) => [eventId, version]),
      [
        ["event-0", 1],
        ["event-1", 2],
        ["event-2", 3]
      ]
    )
    assert.deepStrictEqual(
      sealed.map(({ previousHash }) => previousHash),
      ["", sealed[0]!.hash, sealed[1]!.hash]
    )
    for (const event of sealed) assert.strictEqual(event.hash, hashOf(event))
  })

  it("goes on from the head of the stream", () => {
    const [next] = seal({ streamId: "order-1", version: 7, hash: "ab" }, [started()], provenance, now, () => "event")

    assert.strictEqual(next!.version, 8)
    assert.strictEqual(next!.previousHash, "ab")
  })

  it("writes the data as it goes to the log: decimals as text, the type apart", () => {
    assert.strictEqual(sealed[2]!.type, "OrderFilled")
    assert.deepStrictEqual(JSON.parse(sealed[2]!.dataText), {
      tradeId: "1",
      price: "100",
      quantity: "1",
      fee: "0.001",
      feeAsset: "BNB",
      at: now,
      source: "query"
    })
  })

  it.prop("writes the data of every event as canonical JSON", [Arbitrary.schema(OrderEvent)], ([event]) => {
    const [written] = seal({ streamId: "order-1", version: 0, hash: "" }, [event], provenance, now, () => "event")

    assert.strictEqual(written!.dataText, canonicalJson(encode(event).data))
  })

  it("hashes exactly the text that an independent reader can rebuild from the columns", () => {
    const text =
      `{"actor":"client","causation_id":null,"command_id":"command-1","correlation_id":"request-1",` +
      `"data":{"at":${now},"fee":"0.001","feeAsset":"BNB","price":"100","quantity":"1","source":"query","tradeId":"1"},` +
      `"event_id":"event-2","occurred_at":${now},"previous_hash":"${sealed[1]!.hash}","schema_version":1,` +
      `"stream_id":"order-1","trace_parent":null,"type":"OrderFilled","version":3}`

    assert.strictEqual(sealed[2]!.hash, createHash("sha256").update(text).digest("hex"))
  })
})

// Everything that the hash covers. Left out on purpose: lane, position and recorded_at, which the batch hash covers.
const covered = [
  "eventId",
  "streamId",
  "version",
  "type",
  "schemaVersion",
  "occurredAt",
  "actor",
  "correlationId",
  "causationId",
  "commandId",
  "traceParent",
  "dataText",
  "previousHash"
] as const satisfies ReadonlyArray<keyof SealedEvent>

const Edit = Arbitrary.all({
  index: Arbitrary.schema(Schema.Literals([0, 1, 2])),
  field: Arbitrary.schema(Schema.Literals(covered)),
  text: Arbitrary.schema(Schema.String)
})

const edited = (value: unknown, text: string): unknown => {
  if (typeof value === "number") return value + 1 + text.length
  return `${typeof value === "string" ? value : ""}x${text}`
}

describe("the hash of an event", () => {
  it.prop("changes with any edit of any field that it covers", [Edit], ([{ field, index, text }]) => {
    const event = sealed[index]!

    assert.notStrictEqual(hashOf({ ...event, [field]: edited(event[field], text) }), event.hash)
  })

  it.each(covered)("covers %s", (field) => {
    const event = sealed[1]!

    assert.notStrictEqual(hashOf({ ...event, [field]: edited(event[field], "") }), event.hash)
  })

  it("covers every member of the data, down to one digit", () => {
    const event = sealed[2]!
    const data: Record<string, unknown> = JSON.parse(event.dataText)
    for (const [key, value] of Object.entries(data)) {
      const dataText = canonicalJson({ ...data, [key]: typeof value === "number" ? 1 : `${value as string}0` })
      assert.notStrictEqual(hashOf({ ...event, dataText }), event.hash, key)
    }
  })

  it("tells null from the word null, and a moved border between two fields", () => {
    const event = sealed[0]!

    assert.notStrictEqual(hashOf({ ...event, causationId: "null" }), event.hash)
    assert.notStrictEqual(
      hashOf({ ...event, actor: "clientr", correlationId: "equest-1" }),
      hashOf({ ...event, actor: "client", correlationId: "request-1" })
    )
  })

  it("does not depend on where the lane put it", () => {
    const { dataText, ...rest } = sealed[0]!
    const stored: StoredEvent = { ...rest, data: JSON.parse(dataText), lane: 3, position: 9, recordedAt: now }

    assert.isTrue(isAsWritten(stored))
    assert.isFalse(isAsWritten({ ...stored, data: { ...stored.data, staleAt: 1 } }))
  })
})

describe("the hash of a request", () => {
  it("is the same for the same amounts in another writing", () => {
    assert.strictEqual(
      requestHashOf({ ...request, quantity: decimal("2.000"), price: decimal("1e2") }),
      requestHashOf(request)
    )
  })

  it("is of the request as the log has it, with the fields that came later and without them", () => {
    const requests: ReadonlyArray<OrderRequest> = [
      request,
      { ...request, stopPrice: decimal("99.5"), icebergQuantity: decimal("0.5"), selfTradePrevention: "NONE" }
    ]
    for (const one of requests) {
      const { data } = encode(
        OrderEvent.cases.OrderPlaced.make({ clientOrderId, request: one, instrumentVersion: 1, staleAt: now })
      )
      const text = canonicalJson(data["request"])
      assert.strictEqual(requestHashOf(one), createHash("sha256").update(text).digest("hex"))
    }
  })

  it("differs as soon as any field of the request differs", () => {
    const changes = [
      { symbol: "ETHUSDT" },
      { side: "SELL" },
      { type: "LIMIT_MAKER" },
      { timeInForce: "IOC" },
      { quantity: decimal("2.1") },
      { quantity: null },
      { quoteQuantity: decimal("2") },
      { price: decimal("100.01") },
      { validUntil: now },
      { stopPrice: decimal("100") },
      { icebergQuantity: decimal("100") },
      { selfTradePrevention: "NONE" },
      { selfTradePrevention: "EXPIRE_BOTH" }
    ] as const
    const hashes = new Set([request, ...changes.map((change) => ({ ...request, ...change }))].map(requestHashOf))

    assert.strictEqual(hashes.size, changes.length + 1)
  })
})
