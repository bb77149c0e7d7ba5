/**
 * The program as `serve` builds it, with two doors for the proof: it can be made to die by kill -9 at one exact point
 * of an order's way (crashPoints.ts), and one of the protocol's three pillars can be taken out (sabotage.ts). Both are
 * layers around the real ones; nothing in `src` knows of them.
 *
 * Says `store ID` on its output: client order ids follow from it.
 */
import { Console, Effect, Layer } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { AppConfig } from "../../../src/config.ts"
import { Server } from "../../../src/http/Server.ts"
import { Supervisor } from "../../../src/engine/Supervisor.ts"
import { bus, engine, exchange, ExchangeAddress, roles, storage } from "../../../src/main.ts"
import { Store } from "../../../src/sql/Store.ts"
import { Telemetry } from "../../../src/telemetry.ts"
import { diesInClient, diesInStore } from "./crashPoints.ts"
import { withoutCorroboration, withoutJournal, withoutWait } from "./sabotage.ts"

const taken = process.env["PROOF_WITHOUT"] ?? ""

const program = Effect.gen(function* () {
  const { storeId } = yield* Store
  yield* Console.log(`store ${storeId}`)
  return yield* (yield* Supervisor).giveUp
}).pipe(
  Effect.provide(
    Layer.mergeAll(Server.layer, roles).pipe(
      Layer.provideMerge(engine),
      Layer.provideMerge(Supervisor.layer),
      Layer.provideMerge(taken === "corroboration" ? withoutCorroboration : Layer.empty),
      Layer.provideMerge(diesInClient),
      Layer.provideMerge(taken === "wait" ? withoutWait : Layer.empty),
      Layer.provideMerge(Layer.mergeAll(bus, exchange)),
      Layer.provideMerge(ExchangeAddress.layer),
      Layer.provideMerge(diesInStore),
      Layer.provideMerge(taken === "journal" ? withoutJournal : Layer.empty),
      Layer.provideMerge(storage),
      Layer.provideMerge(Layer.mergeAll(Telemetry.layer, SecureRandom.layerWebCrypto)),
      Layer.provideMerge(Layer.effect(AppConfig, AppConfig.fromProcess({ readDotEnv: false })))
    )
  )
)

const fiber = Effect.runFork(program)
fiber.addObserver(() => process.exit())
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => fiber.interruptUnsafe())
