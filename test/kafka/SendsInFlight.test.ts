import { assert, describe, it } from "@effect/vitest"
import { SendsInFlight } from "../../src/kafka/SendsInFlight.ts"

describe("a send without an answer", () => {
  it("is slow after seconds, and hangs once it has outlived every bound", () => {
    const sends = new SendsInFlight()
    sends.begins("orders/1", 0)
    sends.begins("events/1", 70_000)

    assert.isNull(sends.slow(1_000))
    assert.strictEqual(sends.slow(3_000), "Kafka has not answered a send for 3 s")
    assert.deepStrictEqual(sends.hanging(50_000), [])
    assert.deepStrictEqual(sends.hanging(71_000), [
      "a send to orders/1 has had no answer for 71 s: restart this process"
    ])
  })

  it("is nobody's concern once it is answered", () => {
    const sends = new SendsInFlight()
    sends.begins("orders/1", 0)
    sends.ends("orders/1")

    assert.isNull(sends.slow(100_000))
    assert.deepStrictEqual(sends.hanging(100_000), [])
    assert.isFalse(sends.has("orders/1"))
  })
})
