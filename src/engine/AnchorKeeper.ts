/**
 * Writes the anchor: how far the log is, every few seconds, into the file that the configuration names.
 *
 * Each process keeps its own. It is what the watch has seen and found sound, so a loss does not come into the file, which
 * may be all that still knows of it. One that cannot be written holds nobody up; that is said, and tried again.
 */
import { Clock, Effect, Layer } from "effect"
import { writeAnchor } from "../audit/Anchors.ts"
import { AppConfig } from "../config.ts"
import { Store } from "../sql/Store.ts"
import { StoreWatch } from "./StoreWatch.ts"
import { Supervisor } from "./Supervisor.ts"

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const { audit } = yield* AppConfig
    if (audit.anchor_file === "") return
    const { generation, storeId } = yield* Store
    const supervisor = yield* Supervisor
    const watch = yield* StoreWatch

    const write = Effect.gen(function* () {
      const heads = yield* watch.heads
      yield* writeAnchor(audit.anchor_file, { storeId, generation, at: yield* Clock.currentTimeMillis, heads })
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
