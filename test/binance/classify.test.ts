/** What each answer that is no success means for the caller: the table, row by row. */
import { assert, describe, it } from "@effect/vitest"
import type { Reason } from "../../src/binance/BinanceError.ts"
import { classify, isCredentialRefusal } from "../../src/binance/classify.ts"

const answer = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) => ({
  status,
  headers,
  body: typeof body === "string" ? body : JSON.stringify(body)
})

const coded = (status: number, code: number, msg = "…", headers: Readonly<Record<string, string>> = {}): Reason =>
  classify(answer(status, { code, msg }, headers))

describe("an answer that proves nothing", () => {
  for (const code of [-1000, -1001, -1006, -1007, -1008, -1016]) {
    for (const status of [400, 403, 408, 429, 500, 503, 504]) {
      it(`is unknown: ${code} with HTTP ${status}`, () => {
        assert.strictEqual(coded(status, code)._tag, "OutcomeUnknown")
      })
    }
  }

  for (const status of [500, 501, 502, 503, 504, 599]) {
    it(`is unknown: HTTP ${status} with HTML, with JSON, and with a code that would refuse`, () => {
      assert.strictEqual(classify(answer(status, "<html>"))._tag, "OutcomeUnknown")
      assert.strictEqual(classify(answer(status, {}))._tag, "OutcomeUnknown")
      assert.strictEqual(coded(status, -2010)._tag, "OutcomeUnknown")
    })
  }

  for (const code of [-1, -999, -1099, -1200, -1210, -1999, -2021, -2022, -2040, -9000, 200]) {
    it(`is unknown: the unlisted code ${code}`, () => {
      assert.strictEqual(coded(400, code)._tag, "OutcomeUnknown")
    })
  }

  for (const status of [301, 304, 400, 401, 404, 409, 410, 413]) {
    it(`is unknown: HTTP ${status} without a code`, () => {
      assert.strictEqual(classify(answer(status, "<html>"))._tag, "OutcomeUnknown")
    })
  }

  for (const status of [403, 418, 429]) {
    it(`is unknown: HTTP ${status} with an order in its body`, () => {
      assert.strictEqual(classify(answer(status, { code: -1003, msg: "", orderId: 5 }))._tag, "OutcomeUnknown")
    })
  }
})

describe("a refusal", () => {
  const final = [-1010, -1013, -1014, -1020, -2010]
  const parameters = [-1100, -1101, -1102, -1103, -1104, -1105, -1106, -1108, -1111, -1114, -1115, -1116, -1117]
  for (const code of [...final, ...parameters, -1121, -1128, -1130, -1131, -1199]) {
    it(`is final: ${code}`, () => {
      assert.deepInclude(coded(400, code, "why"), {
        _tag: "Refused",
        code: `${code}`,
        exchangeMessage: "why",
        repeatable: false
      })
    })
  }

  for (const code of [-1021, -1034]) {
    it(`may be repeated with a new timestamp: ${code}`, () => {
      assert.deepInclude(coded(400, code), { _tag: "Refused", repeatable: true })
    })
  }

  for (const [status, code] of [
    [401, -1002],
    [400, -1022],
    [401, -2014],
    [401, -2015]
  ] as const) {
    it(`of our keys ends no order: ${code}`, () => {
      const reason = coded(status, code)

      assert.deepInclude(reason, { _tag: "Refused", code: `${code}`, repeatable: true })
      assert.isTrue(isCredentialRefusal(reason))
    })
  }

  it("of our keys is also seen in a bare HTTP 401, which says nothing about the order", () => {
    const reason = classify(answer(401, "<html>"))

    assert.strictEqual(reason._tag, "OutcomeUnknown")
    assert.isTrue(isCredentialRefusal(reason))
    assert.isFalse(isCredentialRefusal(classify(answer(400, "<html>"))))
    assert.isFalse(isCredentialRefusal(coded(400, -2010)))
  })

  it("may be repeated when the market is closed, under either code", () => {
    assert.deepInclude(coded(400, -1013, "Market is closed."), { _tag: "Refused", repeatable: true })
    assert.deepInclude(coded(400, -2010, "Market is closed."), { _tag: "Refused", repeatable: true })
  })

  it("is final for a book too thin, since the trader asked for this market", () => {
    const message = "Order book liquidity is less than `LOT_SIZE` filter minimum quantity."
    assert.deepInclude(coded(400, -2010, message), { _tag: "Refused", repeatable: false })
  })

  it("is a filter's, whatever the code, when the message says so", () => {
    assert.deepInclude(coded(400, -2040, "Filter failure: MAX_NUM_ORDERS"), { _tag: "Refused", repeatable: false })
  })

  it("comes with any status of the 400s", () => {
    assert.strictEqual(coded(401, -2015)._tag, "Refused")
    assert.strictEqual(coded(403, -1121)._tag, "Refused")
  })

  it("keeps its message short, and free of what a database or a log cannot hold", () => {
    const reason = coded(400, -2010, `a\u0000b\ud800${"x".repeat(10_000)}`)

    assert(reason._tag === "Refused")
    assert.isAtMost(reason.exchangeMessage.length, 500)
    assert.isTrue(reason.exchangeMessage.isWellFormed())
    assert.notInclude(reason.exchangeMessage, "\u0000")
  })
})

describe("a limit", () => {
  it("says how long to wait, in the header's seconds", () => {
    assert.deepInclude(coded(429, -1003, "Too much", { "retry-after": "7" }), {
      _tag: "RateLimited",
      code: "-1003",
      retryAfterMillis: 7_000
    })
    assert.deepInclude(coded(418, -1003, "banned", { "retry-after": "120" }), {
      _tag: "RateLimited",
      retryAfterMillis: 120_000
    })
  })

  it("without a header waits for the window, or for the shortest ban", () => {
    assert.deepInclude(coded(429, -1003), { retryAfterMillis: 60_000 })
    assert.deepInclude(coded(429, -1015), { _tag: "RateLimited", retryAfterMillis: 10_000 })
    assert.deepInclude(coded(418, -1003), { retryAfterMillis: 120_000 })
  })

  it("is one under any status of the 400s: the codes say it", () => {
    for (const status of [400, 401, 403, 409]) {
      for (const code of [-1003, -1015]) {
        assert.deepInclude(coded(status, code), { _tag: "RateLimited", code: `${code}` }, `HTTP ${status}`)
      }
    }
  })

  it("may come without JSON from the edge", () => {
    for (const status of [403, 418, 429]) {
      assert.deepInclude(classify(answer(status, "<html>")), { _tag: "RateLimited", code: `HTTP_${status}` })
    }
  })

  it("is not believed beyond the longest ban, nor when it is no number", () => {
    assert.deepInclude(coded(429, -1003, "", { "retry-after": "999999999" }), { retryAfterMillis: 3 * 86_400_000 })
    assert.deepInclude(coded(429, -1003, "", { "retry-after": "soon" }), { retryAfterMillis: 60_000 })
  })
})

describe("an answer about an order", () => {
  it("tells that our id is open there already", () => {
    assert.strictEqual(coded(400, -2010, "Duplicate order sent.")._tag, "DuplicateOrder")
  })

  it("tells that no such order was found, which proves nothing by itself", () => {
    assert.deepInclude(coded(400, -2013, "Order does not exist."), { _tag: "OrderUnknown", code: "-2013" })
    assert.deepInclude(coded(400, -2011, "Unknown order sent."), { _tag: "OrderUnknown", code: "-2011" })
    assert.deepInclude(coded(400, -2039), { _tag: "OrderUnknown", code: "-2039" })
  })

  it("tells that the cancel was refused for another reason than the order", () => {
    assert.deepInclude(coded(400, -2011, "This action is disabled on this account."), {
      _tag: "Refused",
      repeatable: false
    })
  })

  it("tells that it was archived", () => {
    assert.strictEqual(coded(400, -2026)._tag, "Archived")
  })
})
