import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import { SubscriptionStatus } from "../../src/kafka/SubscriptionStatus.ts"

const minutes = (count: number) => vi.advanceTimersByTime(count * 60_000)

const joined = () => {
  const status = new SubscriptionStatus("orders for group g")
  status.joins()
  return status
}

describe("a subscription", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it("that is not joined says what its last consumer ended of", () => {
    const status = joined()

    status.ends("Closed connection")

    assert.strictEqual(status.problem(), "orders for group g: not consuming, Closed connection")
  })

  it("that joined again after a failover has no problem", () => {
    const status = joined()
    status.ends("Closed connection")

    status.joins()

    assert.isNull(status.problem())
  })

  it("whose consumer ends again and again has one even while it is joined, for ten minutes", () => {
    const status = joined()
    for (let end = 0; end < 6; end++) {
      status.ends("poisoned group")
      status.joins()
    }

    const during = status.problem()
    minutes(11)

    assert.match(during ?? "", /its consumer ended 6 times in 10 minutes, last: poisoned group/)
    assert.isNull(status.problem())
  })

  it("that holds one record for long names its lane and offset until the record is done", () => {
    const status = joined()
    status.inHand.set(2, { offset: "17", since: Date.now() })

    minutes(1)
    const during = status.problem()
    status.inHand.delete(2)

    assert.strictEqual(during, "orders for group g: lane 2 has had the record at offset 17 in hand for 60 s")
    assert.isNull(status.problem())
  })
})
