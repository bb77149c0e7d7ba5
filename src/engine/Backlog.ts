/**
 * How much of the log the bus does not have yet, whether that is more than `outbox.max_backlog`, and whether the next
 * event of a lane is still what was written.
 *
 * Beyond the limit new orders are turned away, so that a bus that is away for days does not fill the disk unseen; and so
 * they are, and nothing is sent to the exchange, while a lane stands before an event that somebody has changed: its relay
 * waits there, so every replica sees the same. Cancels always pass.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { AppConfig } from "../config.ts"
import { isAsWritten } from "../domain/Envelope.ts"
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

/** An event of the log is not what was written. An operator must look; it goes on by itself once the event is right. */
export class LogBroken extends Schema.TaggedError<LogBroken>()("LogBroken", {
  lane: Schema.Int,
  position: Schema.Int
}) {
  override get message(): string {
    return `lane ${this.lane} of the log is not as it was written from position ${this.position} on: run "nexus verify"`
  }
}

// A backlog of millions does not grow by much in this time.
const lookMillis = 1_000

export class Backlog extends Context.Service<
  Backlog,
  {
    /** As of the last look. */
    readonly lanes: Effect.Effect<ReadonlyArray<LaneBacklog>>
    readonly isFull: Effect.Effect<boolean>
    /** The first lane whose next event was changed, if any. */
    readonly broken: Effect.Effect<LogBroken | null>
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
      let broken: LogBroken | null = null

      const look = Effect.gen(function* () {
        while (true) {
          yield* supervisor.beat("backlog")
          const positions = new Map((yield* cursors.positions).map(({ lane, position }) => [lane, position]))
          const heads = yield* events.laneHeads
          let found: LogBroken | null = null
          lanes = yield* Effect.forEach(heads, ({ lane, position }) => {
            const cursor = positions.get(lane) ?? 0
            return position <= cursor
              ? Effect.succeed({ lane, owed: 0, oldestAt: null })
              : Effect.map(events.readLane(lane, cursor, 1), ([oldest]) => {
                  if (oldest !== undefined && !isAsWritten(oldest)) {
                    found ??= new LogBroken({ lane, position: oldest.position })
                  }
                  return { lane, owed: position - cursor, oldestAt: oldest?.recordedAt ?? null }
                })
          })
          broken = found
          total = lanes.reduce((sum, { owed }) => sum + owed, 0)
          yield* Effect.sleep(lookMillis)
        }
      })
      yield* supervisor.supervise("backlog", look)

      return Backlog.of({
        lanes: Effect.sync(() => lanes),
        isFull: Effect.sync(() => total > outbox.max_backlog),
        broken: Effect.sync(() => broken)
      })
    })
  )
}
