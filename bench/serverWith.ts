/**
 * The program's own server on everything that it has in an api process, with another engine: what is in it costs
 * what it costs, and what the engine costs is left out.
 */
import { Console, Effect, HashSet, Layer } from "effect"
import type { SecureRandom } from "effect/crypto/SecureRandom"
import { AppConfig } from "../src/config.ts"
import type { OrderRequest } from "../src/domain/Event.ts"
import { clientOrderIdOf, OrderId, StoreId } from "../src/domain/Ids.ts"
import { evolve, unplaced } from "../src/domain/Order.ts"
import { Engine } from "../src/engine/Engine.ts"
import { ListeningAddress, Server } from "../src/http/Server.ts"
import { bus, chance, engine, exchange, ExchangeAddress, storage } from "../src/main.ts"
import { Telemetry } from "../src/telemetry.ts"

const clientOrderId = clientOrderIdOf(StoreId.make("00000000-0000-4000-8000-000000000000"), OrderId.make("bench"))

/** What the engine answers to a new order; made up. */
export const answerTo = (request: OrderRequest) => {
  const at = Date.now()
  const placed = { _tag: "OrderPlaced", clientOrderId, request, instrumentVersion: 1, staleAt: at + 120_000 } as const
  return {
    order: {
      order: evolve(unplaced, placed, at),
      version: 1,
      headHash: "",
      requestHash: "",
      commandIds: HashSet.empty()
    },
    replayed: false
  }
}

/** Serves until SIGTERM, and says its port first. */
export const serveWith = (
  place: Layer.Layer<
    Engine,
    never,
    Layer.Success<typeof engine> | Layer.Success<typeof storage> | AppConfig | SecureRandom
  >
): void => {
  const program = Effect.gen(function* () {
    yield* Console.log((yield* ListeningAddress).port)
    return yield* Effect.never
  }).pipe(
    Effect.provide(
      Server.layer.pipe(
        Layer.provide(place),
        Layer.provideMerge(engine),
        Layer.provideMerge(Layer.mergeAll(bus, exchange)),
        Layer.provideMerge(ExchangeAddress.layer),
        Layer.provideMerge(storage),
        Layer.provideMerge(Layer.mergeAll(Telemetry.layer, chance)),
        Layer.provideMerge(Layer.effect(AppConfig, AppConfig.fromProcess({ readDotEnv: false })))
      )
    )
  )
  const fiber = Effect.runFork(program)
  process.once("SIGTERM", () => fiber.interruptUnsafe())
}
