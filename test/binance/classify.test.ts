/** What each answer that is no success means for the caller: the table, row by row. */
import { assert, describe, it } from "@effect/vitest"
import type { Reason } from "../../src/binance/BinanceError.ts"
import { classify, isCredentialRefusal, isPastTheKeys } from "../../src/binance/classify.ts"
import { groupOf } from "../../src/binance/codes.ts"

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

  for (const code of [
    -1, -999, -1004, -1005, -1009, -1012, -1017, -1099, -1200, -1209, -1221, -1226, -1999, -2012, -2023, -2040, -9000,
    200
  ]) {
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

describe("each code that the exchange lists", () => {
  /** As its documents group them, by what may be done next. */
  const listed: Readonly<Record<string, ReadonlyArray<number>>> = {
    OutcomeUnknown: [-1000, -1001, -1006, -1007, -1008, -1016, -2021, -2022],
    "Refused, to be repeated": [-1002, -1021, -1022, -1034, -2014, -2015],
    RateLimited: [-1003, -1015],
    Refused: [
      [-1010, -1013, -1014, -1020, -1100, -1101, -1102, -1103, -1104, -1105, -1106, -1108, -1111, -1112, -1114],
      [-1115, -1116, -1117, -1118, -1119, -1120, -1121, -1122, -1125, -1127, -1128, -1130, -1131, -1134, -1135],
      [-1139, -1145, -1151, -1158, -1160, -1165, -1166, -1168, -1196, -1197, -1198, -1199, -1210, -1211, -1220],
      [-1222, -1223, -1224, -1225, -2010, -2011, -2016, -2035, -2036, -2038, -2042, -2043]
    ].flat(),
    OrderUnknown: [-2013, -2039],
    Archived: [-2026]
  }
  const nameOf = (reason: Reason): string =>
    reason._tag === "Refused" && reason.repeatable ? "Refused, to be repeated" : reason._tag

  for (const [expected, codes] of Object.entries(listed)) {
    for (const code of codes) {
      it(`means one thing: ${code} is ${expected}`, () => {
        assert.strictEqual(nameOf(coded(400, code, "words that nobody knows")), expected)
      })
    }
  }

  it("stands in one group, and no other code stands in any", () => {
    const all = Object.values(listed).flat()
    const grouped = Array.from({ length: 3_000 }, (_, at) => -at).filter((code) => groupOf(code) !== undefined)

    assert.strictEqual(new Set(all).size, all.length)
    assert.deepStrictEqual(
      grouped.filter((code) => !all.includes(code) && (code > -1100 || code < -1199)),
      []
    )
  })
})

describe("a message of the matching engine", () => {
  const rows: ReadonlyArray<readonly [codes: ReadonlyArray<number>, message: string, expected: object]> = [
    [[-2010], "Duplicate order sent.", { _tag: "DuplicateOrder" }],
    [[-2011, -2038, -1010], "Unknown order sent.", { _tag: "OrderUnknown" }],
    [[-2010, -2011, -1013], "Market is closed.", { _tag: "Refused", repeatable: true }],
    [[-2010], "Rest API trading is not enabled.", { _tag: "Refused", repeatable: true }],
    [[-2010, -2011], "WebSocket API trading is not enabled.", { _tag: "Refused", repeatable: true }],
    ...[
      "Account has insufficient balance for requested action.",
      "Order would immediately match and take.",
      "Order would trigger immediately.",
      "The relationship of the prices for the orders is not correct.",
      "This action is disabled on this account.",
      "This account may not place or cancel orders.",
      "This symbol is not permitted for this account.",
      "This symbol is restricted for this account.",
      "Market orders are not supported for this symbol.",
      "Order book liquidity is less than `MARKET_LOT_SIZE` filter minimum quantity.",
      "Order book liquidity is less than symbol minimum quantity.",
      "Price * QTY is zero or less.",
      "IcebergQty exceeds QTY.",
      "Unsupported order combination",
      "Filter failure: MAX_NUM_ALGO_ORDERS",
      "This symbol does not allow the specified self-trade prevention mode."
    ].map((message) => [[-2010, -1013, -1010], message, { _tag: "Refused", repeatable: false }] as const),
    [[-2011], "Order was not canceled due to cancel restrictions.", { _tag: "Refused", repeatable: false }],
    [[-2038], "Order amend (quantity increase) is not supported.", { _tag: "Refused", repeatable: false }],
    [[-2038], "The requested action would change no state; rejecting", { _tag: "Refused", repeatable: false }],
    [[-2038], "Filter failure: MAX_NUM_ORDER_AMENDS", { _tag: "Refused", repeatable: false }]
  ]
  for (const [codes, message, expected] of rows) {
    it(`is known by its exact text: ${message}`, () => {
      for (const code of codes) assert.deepInclude(coded(400, code, message), expected, `${code}`)
    })
  }

  it("is another one when a letter differs: then it is a refusal like any", () => {
    assert.deepInclude(coded(400, -2010, "duplicate order sent."), { _tag: "Refused", repeatable: false })
    assert.deepInclude(coded(400, -2011, "Unknown order"), { _tag: "Refused", repeatable: false })
  })

  it("that our way in is shut holds back all orders, as a refused key does", () => {
    assert.isTrue(isCredentialRefusal(coded(400, -2010, "WebSocket API trading is not enabled.")))
    assert.isFalse(isPastTheKeys(coded(400, -1013, "Filter failure: LOT_SIZE")))
    assert.isTrue(isPastTheKeys(coded(400, -2010, "Order would trigger immediately.")))
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
