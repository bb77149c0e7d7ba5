/**
 * Writes the anchor: how far the log is, every few seconds, into the file that the configuration names.
 *
 * Each process keeps its own. A log that ends before what was written stays out of it. One that cannot be written holds nobody up; that is said, and tried again.
 */
import { Clock, Effect, Layer } from "effect"
import { writeAnchor } from "../audit/Anchors.ts"
import { AppConfig } from "../config.ts"
import { Generations, type LaneHead } from "../sql/Generations.ts"
import { Store } from "../sql/Store.ts"
import { Supervisor } from "./Supervisor.ts"

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const { audit } = yield* AppConfig
    if (audit.anchor_file === "") return
    const generations = yield* Generations
    const { generation, storeId } = yield* Store
    const supervisor = yield* Supervisor
    let written: ReadonlyArray<LaneHead> = []

    const write = Effect.gen(function* () {
      const { heads, missing } = yield* generations.compare(written, [])
      // The file may be all that still knows of what was lost.
      if (missing.length > 0) return
      yield* writeAnchor(audit.anchor_file, { storeId, generation, at: yield* Clock.currentTimeMillis, heads })
      written = heads
    })

    yield* supervisor.supervise(
      "anchor",
      Effect.gen(function* () {
        for (;;) {
          yield* write
          yield* supervisor.beat("anchor")
          yield* Effect.sleep(audit.anchor_interval_ms)
        }
      })
    )
  })
)
