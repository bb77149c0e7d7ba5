import { assert, describe, it } from "@effect/vitest"
import { Clock } from "../../src/simulator/Clock.ts"

const makeClock = () => {
  const host = { millis: 1_700_000_000_000 }
  const clock = new Clock(() => host.millis)
  const ahead = () => clock.now() - host.millis
  return { host, clock, ahead }
}

describe("the exchange's clock", () => {
  it("is the host's until it is told otherwise, and then as far from it as it was told", () => {
    const { ahead, clock, host } = makeClock()
    const seen = [ahead()]
    clock.set(3_000)
    seen.push(ahead())
    host.millis += 60_000
    seen.push(ahead())
    clock.step(-4_500)
    seen.push(ahead())

    assert.deepStrictEqual(seen, [0, 3_000, 3_000, -1_500])
  })

  it("drifts 120 ms in ten minutes at 200 ppm, and keeps what it has drifted when that ends or it is stepped", () => {
    const { ahead, clock, host } = makeClock()
    clock.drift(200)
    host.millis += 600_000
    const drifted = ahead()
    clock.step(1_000)
    host.millis += 300_000
    const stepped = ahead()
    clock.drift(0)
    host.millis += 600_000
    const { driftPpm, now, offsetMillis } = clock.view()

    assert.deepStrictEqual([drifted, stepped, ahead()], [120, 1_180, 1_180])
    assert.deepStrictEqual([driftPpm, now, offsetMillis], [0, host.millis + 1_180, 1_180])
  })

  it("never shows a fraction of a millisecond", () => {
    const { clock, host } = makeClock()
    clock.drift(-333)

    for (let n = 0; n < 1_000; n++) {
      host.millis += 7
      assert.isTrue(Number.isInteger(clock.now()))
    }
  })
})
