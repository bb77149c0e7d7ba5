import { generateKeyPairSync, sign } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Exchange } from "../../src/simulator/Exchange.ts"
import { defaultBalances, symbolsOf } from "../../src/simulator/Market.ts"
import { Service } from "../../src/simulator/Service.ts"
import { webSocketPayload } from "../../src/simulator/signing.ts"
import { WebSocketApi } from "../../src/simulator/WebSocketApi.ts"
import { startMillis } from "./exchangeForTests.ts"

/** As many as one connection may make in its life. */
const greatest = 65_535

describe("subscriptions of one connection", () => {
  it("are numbered to 65,535 and then refused until there is a new connection", () => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519")
    const now = () => startMillis
    const service = new Service({
      exchange: new Exchange({ symbols: symbolsOf("off"), seed: 7, clock: now, balances: defaultBalances }),
      now,
      accountUid: 1,
      credentials: {
        apiKey: "key",
        apiSecret: "secret",
        publicKeys: [String(publicKey.export({ type: "spki", format: "pem" }))]
      },
      limits: "off",
      latencyMillis: 0,
      seed: 7,
      journal: undefined
    })
    let last = ""
    const link = { send: (text: string) => void (last = text), end: () => {}, cut: () => {} }
    const api = new WebSocketApi(service, link, "here", { showsLimits: false, inMicros: false })
    const ask = (method: string, params: object = {}) => {
      api.receive(JSON.stringify({ id: 1, method, params }))
      return JSON.parse(last)
    }
    const claims = { apiKey: "key", timestamp: startMillis }
    const signature = sign(null, Buffer.from(webSocketPayload(claims)), privateKey).toString("base64")
    ask("session.logon", { ...claims, signature })

    let subscribed = ask("userDataStream.subscribe")
    for (let n = 1; n <= greatest; n++) {
      ask("userDataStream.unsubscribe")
      subscribed = ask("userDataStream.subscribe")
    }
    ask("userDataStream.unsubscribe")
    const refused = ask("userDataStream.subscribe")

    assert.deepStrictEqual(subscribed.result, { subscriptionId: greatest })
    assert.strictEqual(refused.status, 400)
    assert.deepStrictEqual(refused.error, { code: -2042, msg: "Maximum subscription ID reached for this connection." })
  })
})
