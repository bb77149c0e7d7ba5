/** Each kind of key, over each way, against an exchange that verifies signatures with code of its own. */
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Result } from "effect"
import { generateKeyPairSync, type KeyPairKeyObjectResult } from "node:crypto"
import { BinanceClient } from "../../src/binance/BinanceClient.ts"
import { signerOf } from "../../src/binance/PrivateKey.ts"
import { ServerTime } from "../../src/binance/ServerTime.ts"
import { hmacSigner, type Signer } from "../../src/binance/sign.ts"
import { type UserEvent, UserStream } from "../../src/binance/UserStream.ts"
import { decimal } from "../../src/domain/Decimal.ts"
import { makeSimulator, type RunningSimulator } from "../../src/simulator/Server.ts"
import { apiKey, apiSecret, clientLayer } from "./AnsweringServer.ts"

const pemOf = ({ privateKey, publicKey }: KeyPairKeyObjectResult) => ({
  privateKey: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  publicKey: publicKey.export({ type: "spki", format: "pem" }).toString()
})
const rsa = pemOf(generateKeyPairSync("rsa", { modulusLength: 2_048 }))
const ed25519 = pemOf(generateKeyPairSync("ed25519"))
const stranger = pemOf(generateKeyPairSync("ed25519"))
const signerOfPem = (text: string): Signer => Result.getOrThrow(signerOf(text))

class Simulator extends Context.Service<Simulator, RunningSimulator>()("test/KeysSimulator") {
  static readonly layer = Layer.effect(
    Simulator,
    makeSimulator({
      host: "127.0.0.1",
      port: 0,
      seed: 7,
      latencyMs: 0,
      limits: "off",
      tickMs: 0,
      apiKey,
      apiSecret,
      publicKeys: [rsa.publicKey, ed25519.publicKey]
    })
  )
}

let drawn = 0
const tradeOnce = (signer: Signer, transport: "rest" | "websocket") =>
  Effect.gen(function* () {
    const { url, wsApiUrl } = yield* Simulator
    const keys = { apiKey: Redacted.make(apiKey), signer }
    return yield* Effect.gen(function* () {
      const client = yield* BinanceClient
      const clientOrderId = `nx-key-${++drawn}`
      const order = { symbol: "BTCUSDT", clientOrderId }
      const request = {
        symbol: "BTCUSDT",
        side: "BUY",
        type: "LIMIT",
        timeInForce: "GTC",
        quantity: decimal("0.001"),
        quoteQuantity: null,
        price: decimal("50000"),
        validUntil: null
      } as const
      yield* (yield* ServerTime).ensure
      const permit = yield* client.readyToSubmit
      const timestamp = yield* (yield* ServerTime).now
      const placed = yield* client.placeOrder({ clientOrderId, request, timestamp, recvWindowMillis: 5_000 }, permit)
      const found = yield* client.queryOrder(order)
      const cancelled = yield* client.cancelOrder({ ...order, exchangeOrderId: placed.exchangeOrderId })
      const { uid } = yield* client.account
      return [
        placed.exchangeStatus,
        found.report.exchangeOrderId === placed.exchangeOrderId,
        cancelled.exchangeStatus,
        uid
      ]
    }).pipe(Effect.provide(clientLayer(url, { keys, ...(transport === "rest" ? {} : { wsApiUrl }) })))
  })

const kinds: ReadonlyArray<Signer> = [
  hmacSigner(Redacted.make(apiSecret)),
  signerOfPem(rsa.privateKey),
  signerOfPem(ed25519.privateKey)
]

layer(Simulator.layer, { excludeTestServices: true })("a key", (it) => {
  describe.each(["rest", "websocket"] as const)("over %s", (transport) => {
    for (const signer of kinds) {
      it.effect(`of the kind ${signer.kind} places, finds and cancels an order`, () =>
        Effect.gen(function* () {
          const { accountUid } = yield* Simulator

          assert.deepStrictEqual(yield* tradeOnce(signer, transport), ["NEW", true, "CANCELED", `${accountUid}`])
        })
      )
    }

    it.effect("that the exchange was never given is refused, and nothing is placed", () =>
      Effect.gen(function* () {
        const { ledger } = yield* Simulator
        const before = ledger().length

        const { reason } = yield* Effect.flip(tradeOnce(signerOfPem(stranger.privateKey), transport))

        assert.deepInclude(reason, { _tag: "Refused", code: "-1022", repeatable: true })
        assert.strictEqual(ledger().length, before)
      })
    )
  })

  for (const signer of kinds) {
    it.effect(`of the kind ${signer.kind} opens the user data stream`, () =>
      Effect.gen(function* () {
        const { url, wsApiUrl } = yield* Simulator
        const keys = { apiKey: Redacted.make(apiKey), signer }

        const first = yield* Effect.gen(function* () {
          const stream = yield* UserStream
          return yield* Effect.callback<UserEvent>((resume) => {
            const fiber = Effect.runFork(stream.run((event) => Effect.sync(() => resume(Effect.succeed(event)))))
            return Effect.sync(() => fiber.interruptUnsafe())
          })
        }).pipe(
          Effect.provide(
            UserStream.layer({ wsApiUrl, keys, silenceMillis: 75_000 }).pipe(
              Layer.provideMerge(clientLayer(url, { keys }))
            )
          )
        )

        assert.strictEqual(first._tag, "Connected")
      })
    )
  }
})
