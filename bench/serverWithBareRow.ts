/**
 * The program's own server with the least that could be called durable: an order is one row of an id and a text,
 * under a primary key and nothing else. No decision, no hash, no chain, no head, no blotter, no lanes; the same
 * driver, all that waits in one insert, one at a time. What no order manager behind this server can beat here.
 */
import { PgClient } from "@effect/sql-pg"
import { Deferred, Effect, Latch, Layer } from "effect"
import { Engine } from "../src/engine/Engine.ts"
import { answerTo, serveWith } from "./serverWith.ts"

interface Waiting {
  readonly id: string
  readonly text: string
  readonly stored: Deferred.Deferred<void>
}

const bareRows = Layer.effect(
  Engine,
  Effect.gen(function* () {
    const real = yield* Engine
    const sql = yield* PgClient.PgClient
    const arrived = Latch.makeUnsafe()
    let waiting: Array<Waiting> = []
    const store = Effect.gen(function* () {
      yield* arrived.await
      arrived.closeUnsafe()
      yield* Effect.yieldNow
      const batch = waiting
      waiting = []
      const [ids, texts] = [batch.map(({ id }) => id), batch.map(({ text }) => text)]
      yield* sql`insert into bare_rows select * from unnest(${ids}::text[], ${texts}::text[])`
      for (const { stored } of batch) Deferred.doneUnsafe(stored, Effect.void)
    })
    yield* Effect.forkScoped(Effect.forever(Effect.orDie(store)))
    return Engine.of({
      ...real,
      place: ({ orderId, request }) =>
        Effect.suspend(() => {
          const stored = Deferred.makeUnsafe<void>()
          const answer = answerTo(request)
          waiting.push({
            id: orderId,
            text: JSON.stringify([request.symbol, request.side, answer.order.version]),
            stored
          })
          arrived.openUnsafe()
          return Effect.as(Deferred.await(stored), answer)
        })
    })
  })
)

serveWith(bareRows)
