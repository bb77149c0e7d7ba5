/**
 * Makes a store that has lost commits fit to be served again: `nexus recover`.
 *
 * 1. Nothing may live on the store, and from the beginning nothing starts on it before the end (sql/Recoveries).
 * 2. What Kafka still has of the lost events comes back at the positions where it stood: readers have seen it there.
 * 3. From there on a new generation begins, so that positions given out again mean nothing old.
 * 4. Once no request of the lost time can reach the exchange any more, its word on our orders is imported: an order
 *    that was sent and of which the log knows nothing would else be sent a second time.
 *
 * Killed anywhere, the same command goes on; run twice, it finds nothing to do.
 */
import { DateTime, Effect, Schedule, Schema } from "effect"
import { BinanceClient } from "../binance/BinanceClient.ts"
import { ServerTime } from "../binance/ServerTime.ts"
import { AppConfig } from "../config.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import { accountStream } from "../domain/Ids.ts"
import { type HistoryRecord, TopicHistory } from "../kafka/TopicHistory.ts"
import { Cursors } from "../sql/Cursors.ts"
import { EventStore } from "../sql/EventStore.ts"
import { Generations, type LaneHead } from "../sql/Generations.ts"
import { Recoveries } from "../sql/Recoveries.ts"
import { Replicas } from "../sql/Replicas.ts"
import { Store, StoreBelongsElsewhere } from "../sql/Store.ts"
import { Engine } from "./Engine.ts"
import { importOrders, type ImportReport } from "./ImportOrders.ts"
import { beyond, compareRecords, differing, type LaneComparison, LostCommits } from "./LostCommits.ts"
import { lostEvents } from "./lostEvents.ts"

/** Something still runs on the store. */
export class StillServed extends Schema.TaggedError<StillServed>()("StillServed", { replicas: Schema.String }) {
  override get message() {
    return `replica ${this.replicas} lives on this database: stop every process first ("nexus leases" lists them)`
  }
}

/** What was read back does not fit. The store stays out of service. */
export class TailMisfits extends Schema.TaggedError<TailMisfits>()("TailMisfits", { detail: Schema.String }) {
  override get message() {
    return `what Kafka has does not continue this log (${this.detail}): is this the right database, and the right topic?`
  }
}

/** The log was served on for long since it lost commits. Nothing of it was changed. */
export class ForkNotFound extends Schema.TaggedError<ForkNotFound>()("ForkNotFound", {
  lane: Schema.Int,
  since: Schema.Int
}) {
  override get message() {
    const since = DateTime.formatIso(DateTime.makeUnsafe(this.since))
    return (
      `all that Kafka has of lane ${this.lane} since ${since} is missing in this log or stands there as another event: ` +
      "run it again with --since and a moment before commits were lost"
    )
  }
}

export interface RecoveryOptions {
  readonly by: string
  readonly reason: string
  /** Orders at the exchange since then are looked at, and Kafka's records if that is earlier; null: since the log was last written. */
  readonly since: EpochMillis | null
  /** Null: all that the exchange trades. */
  readonly symbols: ReadonlyArray<string> | null
  /** Told what is going on. */
  readonly say: (text: string) => Effect.Effect<void>
}

export interface RecoveryReport extends ImportReport {
  readonly generation: number
  readonly wasRaised: boolean
  readonly lanes: ReadonlyArray<{
    readonly lane: number
    /** Where the log ended when the recovery began. */
    readonly head: number
    /** How far Kafka or an anchor knew it. */
    readonly known: number
    /** How far Kafka's records were brought back. */
    readonly broughtBackTo: number
    /** Why not all that was known came back; null: it did. */
    readonly stop: string | null
  }>
  readonly events: number
  readonly since: EpochMillis
}

// Whoever was killed is told of until its leases have run out.
const aliveMarginMillis = 1_000
const alivePollMillis = 200
// The clocks of PostgreSQL, the exchange and Kafka's producers need not agree better.
const clockMarginMillis = 60_000
// Beyond the moment at which the exchange's word is final, for the rounding of clocks.
const conclusiveMarginMillis = 1_000
const waitPollMillis = 250
// Standbys are behind by seconds, and seldom by minutes. All that is read is held in memory.
const furtherBackMillis = 600_000

export const recover = Effect.fn("Recovery.recover")(function* (options: RecoveryOptions) {
  const { binance, margins } = yield* AppConfig
  const client = yield* BinanceClient
  const generations = yield* Generations
  const lost = yield* LostCommits
  const recoveries = yield* Recoveries
  const serverTime = yield* ServerTime
  const store = yield* Store

  yield* nothingLives
  // The right account, before anything is written.
  yield* serverTime.sync
  const begun = yield* serverTime.now
  const { uid } = yield* client.account
  const bound = yield* store.accountUid
  if (bound !== null && bound !== uid) {
    return yield* new StoreBelongsElsewhere({
      belongsTo: `account ${bound} of the ${store.exchange}`,
      asked: `account ${uid} of the ${store.exchange}`
    })
  }

  const before = yield* generations.heads
  const recovery = yield* recoveries.begin({
    by: options.by,
    reason: options.reason,
    heads: before.map(({ position }) => position),
    logEndedAt: yield* generations.lastWritten
  })
  // Whoever started in between has seen nothing of the recovery.
  yield* nothingLives
  const heads = yield* generations.heads

  if (recovery.found !== null) yield* options.say(`begun by the process that found the loss: ${recovery.found}`)
  // As far back as the run that began it looked: what that one brought back was written just now.
  const wanted = Math.min(options.since ?? Number.POSITIVE_INFINITY, recovery.logEndedAt - clockMarginMillis)
  const { compared, groundless, since, tail } = yield* readBack(wanted, heads)
  const [unclear] = groundless
  // Whoever says from when on has looked, and may mean the topic's beginning.
  if (unclear !== undefined && options.since === null) {
    return yield* new ForkNotFound({ lane: unclear.head.lane, since })
  }
  const anchored = yield* lost.byAnchor
  const original = recovery.heads.map((position, lane) => ({ lane, position, hash: "" }))
  const ahead = [...beyond(tail, store, original), ...differing(compared, store), ...anchored]
  const known =
    recovery.known ??
    recovery.heads.map((head, lane) => {
      const positions = ahead.filter((one) => one.lane === lane).map(({ position }) => position)
      return positions.length === 0 ? head : Math.max(...positions)
    })

  const losses = recovery.generation === null ? yield* bringBack(tail, compared) : []
  let generation = recovery.generation ?? store.generation
  if (recovery.generation === null && ahead.length > 0) {
    generation = Math.max(...ahead.map((one) => one.generation), store.generation) + 1
    yield* recoveries.raise({
      number: recovery.number,
      generation,
      firstPositions: losses.map(({ firstPosition }) => firstPosition),
      known
    })
  }
  const wasRaised = recovery.generation !== null || generation !== store.generation
  const firstPositions = wasRaised ? yield* recoveries.firstPositions(generation) : []
  if (wasRaised) {
    yield* record({ generation, by: recovery.by, reason: recovery.reason, firstPositions, knownPositions: known })
  }

  const conclusive =
    begun + binance.testnet.recv_window_ms + margins.delta_ms + margins.staleness_ms + conclusiveMarginMillis
  const wait = conclusive - (yield* serverTime.pessimisticNow)
  if (wait > 0) {
    yield* options.say(
      `waiting ${Math.ceil(wait / 1_000)} s, until nothing that was sent before can still arrive at the exchange`
    )
  }
  yield* serverTime.pessimisticNow.pipe(
    Effect.repeat({ until: (now) => now > conclusive, schedule: Schedule.spaced(waitPollMillis) })
  )

  const importsSince = since < wanted ? since : (options.since ?? since)
  const symbols = options.symbols ?? (yield* client.exchangeInfo).map(({ symbol }) => symbol)
  const imports = yield* importOrders({
    symbols: [...new Set([...symbols, ...(yield* generations.symbols)])],
    since: importsSince
  })
  const report: RecoveryReport = {
    ...imports,
    generation,
    wasRaised,
    since: importsSince,
    events: losses.reduce((sum, { count }) => sum + count, 0),
    lanes: recovery.heads.map((head, lane) => {
      const first = firstPositions[lane]
      const broughtBackTo = first === undefined ? (heads[lane]?.position ?? head) : first - 1
      const furthest = known[lane] ?? head
      const why = losses.find((loss) => loss.lane === lane)?.stop
      const stop = furthest > broughtBackTo ? (why ?? "no record of it is left") : null
      return { lane, head, known: furthest, broughtBackTo, stop }
    })
  }
  yield* recoveries.finish(recovery.number, report)
  return report
})

const nothingLives = Effect.gen(function* () {
  const { leases } = yield* AppConfig
  const replicas = yield* Replicas
  let alive: ReadonlyArray<string> = []
  yield* replicas.list.pipe(
    Effect.map((all) => all.filter(({ silentMillis }) => silentMillis < leases.ttl_ms).map(({ id }) => id)),
    Effect.tap((live) => Effect.sync(() => (alive = live))),
    Effect.repeat({ until: (live) => live.length === 0, schedule: Schedule.spaced(alivePollMillis) }),
    Effect.timeoutOrElse({
      duration: leases.ttl_ms + aliveMarginMillis,
      orElse: () => new StillServed({ replicas: alive.join(", ") })
    })
  )
})

/** What Kafka has since the moment, and how it fits the log. Where all of a lane differs, more is read, once. */
const readBack = Effect.fnUntraced(function* (since: EpochMillis, heads: ReadonlyArray<LaneHead>) {
  const history = yield* TopicHistory
  const newest = yield* history.newest
  const readFrom = Effect.fnUntraced(function* (from: EpochMillis) {
    const tail = [...(yield* history.since(from)), ...newest]
    const compared = yield* compareRecords(tail, heads)
    return { tail, compared, groundless: compared.filter(({ hasGround }) => !hasGround), since: from }
  })
  const read = yield* readFrom(since)
  return read.groundless.length === 0 ? read : yield* readFrom(since - furtherBackMillis)
})

/** Lane by lane, in the order in which the events stood. A run that was killed goes on where the log now ends. */
const bringBack = Effect.fnUntraced(function* (
  tail: ReadonlyArray<HistoryRecord>,
  compared: ReadonlyArray<LaneComparison>
) {
  const cursors = yield* Cursors
  const engine = yield* Engine
  const generations = yield* Generations
  const store = yield* Store
  const losses = lostEvents(
    tail,
    store,
    compared.filter(({ differing }) => differing.length === 0).map(({ head }) => head)
  )
  yield* Effect.forEach(losses, ({ lost }) => Effect.forEach(lost, (one) => engine.bringBack(one), { discard: true }), {
    concurrency: "unbounded",
    discard: true
  }).pipe(Effect.catchTag("CannotBringBack", ({ message }) => new TailMisfits({ detail: message })))
  const after = yield* generations.heads
  return yield* Effect.forEach(after, ({ lane, position }) =>
    Effect.gen(function* () {
      const { differing, head, isConfirmed } = compared[lane]!
      const loss = losses.find((one) => one.lane === lane)
      const count = loss?.count ?? 0
      if (position !== head.position + count) {
        return yield* Effect.die(new Error(`lane ${lane} ends at ${position}, not ${head.position + count}`))
      }
      const [firstDiffering] = differing
      if (firstDiffering !== undefined) {
        // What was written there since is sent under the new generation, whether or not readers have it under the old one.
        const firstPosition = Math.min(firstDiffering, (yield* cursors.position(lane)) + 1)
        return { lane, count, stop: "the log was written since, and went another way", firstPosition }
      }
      // A log that Kafka does not confirm up to its end may have gone on alone since it was set back. What was not
      // published of it then means something else than what readers know.
      const isKnown = isConfirmed || count > 0
      const firstPosition = isKnown ? position + 1 : (yield* cursors.position(lane)) + 1
      return { lane, count, stop: loss?.stop ?? null, firstPosition }
    })
  )
})

/** The fact, in the account's stream, for every reader of the log. Once per generation. */
const record = Effect.fnUntraced(function* (fact: {
  readonly generation: number
  readonly by: string
  readonly reason: string
  readonly firstPositions: ReadonlyArray<number>
  readonly knownPositions: ReadonlyArray<number>
}) {
  const engine = yield* Engine
  const { events } = yield* (yield* EventStore).load(accountStream)
  const isThere = events.some(({ data, type }) => type === "GenerationRaised" && data["generation"] === fact.generation)
  if (!isThere) yield* engine.recordAccount(() => ({ _tag: "GenerationRaised", ...fact }))
})
