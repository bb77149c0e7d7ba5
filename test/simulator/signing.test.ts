import { assert, describe, it } from "@effect/vitest"
import { parseJson } from "../../src/simulator/jsonText.ts"
import { isAscii, webSocketPayload, withoutSignature } from "../../src/simulator/signing.ts"

describe("what a signature covers", () => {
  it.each([
    ["a=1&signature=xx", "a=1", "xx"],
    ["signature=xx&a=1&b=2", "a=1&b=2", "xx"],
    ["a=1&signature=xx&b=2", "a=1&b=2", "xx"],
    ["signature=xx", "", "xx"],
    ["mysignature=1&a=2", "mysignature=1&a=2", undefined],
    ["", "", undefined]
  ])("of %o only the signature is left out, and nothing is written anew", (form, payload, signature) => {
    assert.deepStrictEqual(withoutSignature(form), [payload, signature])
  })

  it("raw bytes beyond ASCII are seen as such", () => {
    assert.isFalse(isAscii("symbol=１２"))
    assert.isTrue(isAscii("symbol=%EF%BC%91"))
  })

  it("parameters of the WebSocket API are sorted, unescaped, and numbers are their JSON text", () => {
    const params = { symbol: "１２", signature: "x", apiKey: "k", timestamp: 1_645_423_376_532, isIt: true }

    assert.strictEqual(webSocketPayload(params), "apiKey=k&isIt=true&symbol=１２&timestamp=1645423376532")
  })

  it("numbers are signed as they were written, whatever they would be rewritten as", () => {
    const params = parseJson(
      '{"recvWindow":5000.0,"quantity":1e-05,"orderId":12345678901234567890,"symbols":["A","B"]}'
    )

    assert.strictEqual(
      webSocketPayload(params as Record<string, unknown>),
      'orderId=12345678901234567890&quantity=1e-05&recvWindow=5000.0&symbols=["A","B"]'
    )
  })
})
