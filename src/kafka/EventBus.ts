/**
 * The bus that carries the log to those who work on it: the one port, two adapters.
 *
 * Promises at least once, in order per lane, nothing acknowledged that is not there. It does not
 * promise once: readers dedupe by stream and version. The log stays the durable queue, so every
 * error here means "send again later", never "lost". One contract suite judges both adapters.
 */
import type { Cause, Effect } from "effect"
import { Context, Predicate, Schema } from "effect"
import { AccessFault } from "./accessFaults.ts"

export const Topic = Schema.Literals(["orders", "events"])
/** Logical names; the real ones are configured. */
export type Topic = typeof Topic.Type

export interface BusRecord {
  /** The stream id: what belongs together stays in order. */
  readonly key: string
  readonly value: string
  readonly headers: Readonly<Record<string, string>>
}

export interface Delivered extends BusRecord {
  readonly lane: number
  /** Of this bus, per topic and lane; grows, and repeats when a record is delivered again. */
  readonly offset: string
}

/** The bus did not take the records, or its answer was lost; send them again, repeats are allowed. */
export class BusUnavailable extends Schema.TaggedError<BusUnavailable>()("BusUnavailable", {
  topic: Schema.NullOr(Topic),
  lane: Schema.NullOr(Schema.Int),
  cause: Schema.Defect()
}) {
  override get message(): string {
    // Said in full, and the same wherever it is met.
    if (this.cause instanceof AccessFault) return this.cause.message
    const where = this.topic === null ? "" : ` for ${this.topic}${this.lane === null ? "" : ` lane ${this.lane}`}`
    return `the bus is not available${where}: ${said(this.cause)}`
  }
}

const said = (cause: unknown): string =>
  Predicate.hasProperty(cause, "message") && typeof cause.message === "string" ? cause.message : "no reason given"

/** One record can never be sent: `index` in the batch. Nothing of the batch is promised sent. */
export class RecordRefused extends Schema.TaggedError<RecordRefused>()("RecordRefused", {
  topic: Topic,
  lane: Schema.Int,
  index: Schema.Int,
  reason: Schema.String
}) {
  override get message(): string {
    return `record ${this.index} for ${this.topic} lane ${this.lane} can never be sent: ${this.reason}`
  }
}

/** Embedded bus only: nobody listens on a topic that needs a listener. Send again once somebody does. */
export class NoSubscribers extends Schema.TaggedError<NoSubscribers>()("NoSubscribers", {
  topic: Topic,
  lane: Schema.Int
}) {
  override get message(): string {
    return `nobody listens to ${this.topic}, so lane ${this.lane} waits`
  }
}

export interface SubscribeOptions {
  readonly topic: Topic
  /** Of all subscribers with one group, one gets a record; each group gets all of them. */
  readonly group: string
  /** How many lanes are handled at once. */
  readonly concurrency: number
  /** Never fails. A defect is tried `poisonRetries` times more, then the record goes to `onPoison`. */
  readonly handle: (record: Delivered) => Effect.Effect<void>
  /** Takes the record out of the lane's way for good. The lane goes on afterwards. */
  readonly onPoison: (record: Delivered, cause: Cause.Cause<never>) => Effect.Effect<void>
}

export class EventBus extends Context.Service<
  EventBus,
  {
    readonly kind: "embedded" | "kafka"
    /**
     * In order per lane; all are acknowledged when it succeeds. One publish at a time per topic and
     * lane is the caller's duty (the adapter makes others wait). What was interrupted may be sent.
     */
    readonly publish: (
      topic: Topic,
      lane: number,
      records: ReadonlyArray<BusRecord>
    ) => Effect.Effect<void, BusUnavailable | RecordRefused | NoSubscribers>
    /** Runs until interrupted; waits for a bus that is away. A new group starts at the beginning. */
    readonly subscribe: (options: SubscribeOptions) => Effect.Effect<never, BusUnavailable>
    /** Why the bus cannot be used now, or null. */
    readonly health: Effect.Effect<string | null>
    /** Why what this process publishes does not arrive now, or null. Asks the bus where the last word was a failure. */
    readonly sending: Effect.Effect<string | null>
  }
>()("nexus/kafka/EventBus") {}
