/**
 * Works off the batches that kafkajs hands us: record by record, then one commit for what is finished.
 *
 * Owns which lanes are in hand. Heartbeats come from outside at a steady pace, not between records:
 * a record that takes long must not cost us the lane and have every record handled twice.
 */
import { Data, Effect } from "effect"
import type { EachBatchPayload, KafkaMessage } from "kafkajs"
import type { Delivered } from "./EventBus.ts"
import type { SubscriptionStatus } from "./SubscriptionStatus.ts"

export type Payload = Pick<
  EachBatchPayload,
  "batch" | "resolveOffset" | "heartbeat" | "commitOffsetsIfNecessary" | "isRunning" | "isStale"
>

/** What kafkajs threw. It knows what to do by the kind of its own error, so it gets back the very same. */
export class GroupError extends Data.TaggedError("GroupError")<{ readonly cause: unknown }> {}

interface Current {
  readonly payload: Payload
  /** Why this lane may not be ours any more. kafkajs gets it back and joins again. */
  lost: GroupError | undefined
}

export const makeBatches = (options: {
  readonly deliver: (record: Delivered) => Effect.Effect<void>
  readonly status: SubscriptionStatus
}) => {
  const { deliver, status } = options
  const current = new Set<Current>()

  const handle = (payload: Payload): Effect.Effect<void, GroupError> =>
    Effect.suspend(() => {
      const { messages, partition, topic } = payload.batch
      const mine: Current = { payload, lost: undefined }
      let finished: string | undefined

      const records = Effect.gen(function* () {
        for (const message of messages) {
          if (mine.lost !== undefined || !payload.isRunning() || payload.isStale()) return
          status.inHand.set(partition, { offset: message.offset, since: Date.now() })
          yield* deliver(delivered(partition, message))
          payload.resolveOffset(message.offset)
          finished = message.offset
        }
      })
      const commit = Effect.suspend(() =>
        finished === undefined
          ? Effect.void
          : fromKafka(() =>
              payload.commitOffsetsIfNecessary({
                topics: [{ topic, partitions: [{ partition, offset: String(BigInt(finished!) + 1n) }] }]
              })
            )
      )

      current.add(mine)
      return records.pipe(
        // Leaving: what is not committed is only handled again.
        Effect.onInterrupt(() => Effect.ignore(commit)),
        // Refused when the lane went to another member meanwhile: not ours any more, no failure.
        Effect.andThen(commit),
        Effect.andThen(Effect.suspend(() => (mine.lost === undefined ? Effect.void : Effect.fail(mine.lost)))),
        Effect.ensuring(
          Effect.sync(() => {
            current.delete(mine)
            status.inHand.delete(partition)
          })
        )
      )
    })

  /** One heartbeat if a batch is in hand; an idle consumer sends its own. kafkajs keeps the pace. */
  const beat: Effect.Effect<void> = Effect.suspend(() => {
    const [one] = current
    return one === undefined
      ? Effect.void
      : Effect.catch(
          fromKafka(() => one.payload.heartbeat()),
          (error) =>
            Effect.sync(() => {
              for (const each of current) each.lost = error
            })
        )
  })

  return { handle, beat }
}

const fromKafka = (ask: () => Promise<void>): Effect.Effect<void, GroupError> =>
  Effect.tryPromise({ try: ask, catch: (cause) => new GroupError({ cause }) })

const delivered = (lane: number, message: KafkaMessage): Delivered => {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(message.headers ?? {})) {
    const first = Array.isArray(value) ? value[0] : value
    if (first !== undefined) headers[name] = first.toString()
  }
  return {
    lane,
    offset: message.offset,
    key: message.key?.toString() ?? "",
    value: message.value?.toString() ?? "",
    headers
  }
}
