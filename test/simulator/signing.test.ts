import { assert, describe, it } from "@effect/vitest"
import { isAscii, isSignedBy, sign, webSocketPayload, withoutSignature } from "../../src/simulator/signing.ts"

// The example key pair that Binance publishes.
const apiKey = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
const secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
const limitOrder = "side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
const fullWidth = "%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96"

const restVectors = [
  [`symbol=LTCBTC&${limitOrder}`, "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"],
  [`symbol=${fullWidth}&${limitOrder}`, "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"],
  [
    "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTCquantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
    "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77"
  ],
  [
    `symbol=LTCBTC&${limitOrder.replace("5000", "5000.123")}`,
    "a82c5d07b6ff781080afc0f116c39ec518b5033fb05e7bbb2f73880ae5dc4c34"
  ],
  [`symbol=LTCBTC&${limitOrder}123`, "8ce738dbd47924b50494d0723dcb40302952f2416e818d8c9640f90198652e62"],
  [`symbol=１２３４５６&${limitOrder}`, "ca2cdfbf21d2e2958de492c7f2dd1f059dd2ed4d4459d26a5ec7928db50c8d4f"],
  [
    `symbol=${fullWidth.toLowerCase()}&${limitOrder}`,
    "a6437db89051521c0310ac04ab760d68da896c146d72eed37dbe7ec5ed3cd114"
  ]
] as const

describe("signatures", () => {
  it.each(restVectors)("REST: %s", (payload, signature) => {
    assert.strictEqual(sign(secret, payload), signature)
    assert.isTrue(isSignedBy(secret, payload, signature.toUpperCase()))
    assert.isFalse(isSignedBy(secret, `${payload} `, signature))
  })

  it.each([
    [
      {
        symbol: "BTCUSDT",
        side: "SELL",
        type: "LIMIT",
        timeInForce: "GTC",
        quantity: "0.01000000",
        price: "52000.00",
        recvWindow: 100,
        timestamp: 1645423376532
      },
      "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"
    ],
    [
      {
        symbol: "１２３４５６",
        side: "BUY",
        type: "LIMIT",
        timeInForce: "GTC",
        quantity: "1.00000000",
        price: "0.10000000",
        recvWindow: 5000,
        timestamp: 1645423376532
      },
      "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd"
    ],
    [{ timestamp: 1649729878532 }, "1cf54395b336b0a9727ef27d5d98987962bc47aca6e13fe978612d0adee066ed"],
    [
      { symbol: "BTCUSDT", orderId: 12569099453, timestamp: 1660801720951 },
      "2c3aab5a078ee4ea465ecd95523b77289f61476c2f238ec10c55ea6cb11a6f35"
    ]
  ])("WebSocket API: %o is signed sorted and unescaped", (params, signature) => {
    const payload = webSocketPayload({ ...params, apiKey, signature: "anything" })

    assert.strictEqual(sign(secret, payload), signature)
  })

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
    assert.isTrue(isAscii(`symbol=${fullWidth}`))
  })
})
