/** The program's own server and engine on a log that answers at once and keeps nothing: all of an order but PostgreSQL. */
import { Effect, Layer } from "effect"
import { Engine } from "../src/engine/Engine.ts"
import { EventStore } from "../src/sql/EventStore.ts"
import { serveWith } from "./serverWith.ts"

const keepsNothing = Layer.effect(
  EventStore,
  Effect.map(EventStore, (real) =>
    EventStore.of({
      ...real,
      append: ({ events, expected }) => Effect.succeed({ version: expected + events.length, duplicate: false })
    })
  )
)

serveWith(Layer.fresh(Engine.layer).pipe(Layer.provide(keepsNothing)))
