/**
 * The gate before the exchange: nothing is submitted before this process has measured the exchange's clock
 * and seen that the account behind its keys is the one that the store belongs to.
 *
 * Afterwards it keeps the clock measured. A wrong account is not waited out: the process must end.
 */
import { Context, Deferred, Effect, Layer } from "effect"
import { BinanceClient } from "../binance/BinanceClient.ts"
import { resyncMillis, ServerTime } from "../binance/ServerTime.ts"
import type { Role } from "../config.ts"
import { AppConfig } from "../config.ts"
import { Store } from "../sql/Store.ts"
import type { StoreBelongsElsewhere } from "../sql/Store.ts"
import { Engine } from "./Engine.ts"
import { Supervisor } from "./Supervisor.ts"

const loopName = "exchange-check"
const talking: ReadonlySet<Role> = new Set<Role>(["executor", "reports", "reconciler"])

export class ExchangeCheck extends Context.Service<
  ExchangeCheck,
  {
    /** Completes once the exchange was seen and is the right one. */
    readonly passed: Effect.Effect<void>
    readonly hasPassed: Effect.Effect<boolean>
    /** Why this process cannot work with the exchange now, by asking it; null: it can. */
    readonly fault: Effect.Effect<string | null>
    /** Fails when the account is another one than the store's; never succeeds. */
    readonly refused: Effect.Effect<never, StoreBelongsElsewhere>
  }
>()("nexus/engine/ExchangeCheck") {
  static readonly layer = Layer.effect(
    ExchangeCheck,
    Effect.gen(function* () {
      const { roles } = (yield* AppConfig).app
      const client = yield* BinanceClient
      const engine = yield* Engine
      const store = yield* Store
      const supervisor = yield* Supervisor
      const serverTime = yield* ServerTime
      const passed = yield* Deferred.make<void>()
      const refused = yield* Deferred.make<never, StoreBelongsElsewhere>()

      const check = Effect.gen(function* () {
        yield* supervisor.beat(loopName)
        yield* serverTime.sync
        const { uid } = yield* client.account
        const bound = yield* Effect.result(store.bindAccount(uid))
        if (bound._tag === "Failure") {
          if (bound.failure._tag !== "StoreBelongsElsewhere") return yield* bound.failure
          yield* Deferred.fail(refused, bound.failure)
          return yield* Effect.never
        }
        yield* engine.recordAccount((version) =>
          version === 0
            ? { _tag: "StoreOpened", storeId: store.storeId, exchange: store.exchange, accountUid: uid }
            : null
        )
        yield* Deferred.succeed(passed, undefined)
      })

      const keepMeasured = Effect.gen(function* () {
        if (!(yield* Deferred.isDone(passed))) yield* check
        while (true) {
          yield* Effect.sleep(resyncMillis)
          yield* supervisor.beat(loopName)
          yield* serverTime.sync
        }
      })
      // A process that only takes orders in needs no keys and asks the exchange nothing.
      if (roles.some((role) => talking.has(role))) yield* supervisor.supervise(loopName, keepMeasured)

      return ExchangeCheck.of({
        passed: Deferred.await(passed),
        hasPassed: Deferred.isDone(passed),
        fault: Effect.map(serverTime.answers, (answers) => (answers ? null : "the exchange does not answer")),
        refused: Deferred.await(refused)
      })
    })
  )
}
