/**
 * How much of the log the bus does not have yet, and whether that is more than `outbox.max_backlog`.
 *
 * Beyond it new orders are turned away, so that a bus that is away for days does not fill the disk unseen.
 * Cancels always pass.
 */
import { Context, Effect, Layer } from "effect"
import { AppConfig } from "../config.ts"
import { Cursors } from "../sql/Cursors.ts"
import { EventStore } from "../sql/EventStore.ts"
import { Supervisor } from "./Supervisor.ts"

export interface LaneBacklog {
  readonly lane: number
  /** Events. */
  readonly owed: number
  /** When the oldest event owed was recorded; null: none is owed. */
  readonly oldestAt: number | null
}

// A backlog of millions does not grow by much in this time.
const lookMillis = 1_000

export class Backlog extends Context.Service<
  Backlog,
  {
    /** As of the last look. */
    readonly lanes: Effect.Effect<ReadonlyArray<LaneBacklog>>
    readonly isFull: Effect.Effect<boolean>
  }
>()("nexus/engine/Backlog") {
  static readonly layer = Layer.effect(
    Backlog,
    Effect.gen(function* () {
      const { outbox } = yield* AppConfig
      const cursors = yield* Cursors
      const events = yield* EventStore
      const supervisor = yield* Supervisor
      let lanes: ReadonlyArray<LaneBacklog> = []
      let total = 0

      const look = Effect.gen(function* () {
        while (true) {
          yield* supervisor.beat("backlog")
          const positions = new Map((yield* cursors.positions).map(({ lane, position }) => [lane, position]))
          const heads = yield* events.laneHeads
          lanes = yield* Effect.forEach(heads, ({ lane, position }) => {
            const cursor = positions.get(lane) ?? 0
            return position <= cursor
              ? Effect.succeed({ lane, owed: 0, oldestAt: null })
              : Effect.map(events.readLane(lane, cursor, 1), ([oldest]) => ({
                  lane,
                  owed: position - cursor,
                  oldestAt: oldest?.recordedAt ?? null
                }))
          })
          total = lanes.reduce((sum, { owed }) => sum + owed, 0)
          yield* Effect.sleep(lookMillis)
        }
      })
      yield* supervisor.supervise("backlog", look)

      return Backlog.of({
        lanes: Effect.sync(() => lanes),
        isFull: Effect.sync(() => total > outbox.max_backlog)
      })
    })
  )
}
