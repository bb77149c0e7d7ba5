/** The program's own server with an engine that answers a new order at once: HTTP, decoding and the answer alone. */
import { Effect, Layer } from "effect"
import { Engine } from "../src/engine/Engine.ts"
import { answerTo, serveWith } from "./serverWith.ts"

serveWith(
  Layer.effect(
    Engine,
    Effect.map(Engine, (real) => Engine.of({ ...real, place: ({ request }) => Effect.sync(() => answerTo(request)) }))
  )
)
