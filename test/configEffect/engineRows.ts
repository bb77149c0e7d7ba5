/** The keys that the engine takes: what waits, how much at a time, and how often it looks. */
import { assert } from "@effect/vitest"
import { Effect, Result } from "effect"
import { Engine } from "../../src/engine/Engine.ts"
import { Supervisor } from "../../src/engine/Supervisor.ts"
import { filled, limit, refused, rests, slowly } from "../layers.ts"
import { asked, buy, type Driven, onEngine, settlesAt, submissions, until, whileHeld } from "./onEngine.ts"
import { row, type Rows } from "./Row.ts"

const placeAll = ({ nexus }: Driven, ids: ReadonlyArray<string>) =>
  Effect.forEach(ids, (id) => Effect.result(nexus.place(id, buy)), { concurrency: "unbounded" })
const ids = (count: number) => Array.from({ length: count }, (_, index) => `order-${index}`)
const failures = (results: ReadonlyArray<Result.Result<unknown, { readonly _tag: string }>>) =>
  results.filter(Result.isFailure).map(({ failure }) => failure._tag)
const withoutRelay = { roles: ["executor", "reports", "reconciler"] as const }
const hurried = { NEXUS_ENGINE_COMMAND_DEADLINE_MS: "1000" }
/** So long that the test's clock must be set forward before an answer comes. */
const hanging = slowly(60_000, filled)

export const engineRows: Rows = {
  "engine.mailbox_size": row(
    "commands of one order beyond it are busy at once",
    onEngine({ ...hurried, NEXUS_ENGINE_MAILBOX_SIZE: "1" }, (driven) =>
      Effect.gen(function* () {
        const results = yield* whileHeld(driven.nexus.databaseUrl, placeAll(driven, Array(5).fill("same")))

        assert.strictEqual(failures(results).filter((tag) => tag === "Busy").length, 3)
      })
    )
  ),
  "engine.lane_queue_size": row(
    "appends of one lane beyond it are busy at once",
    onEngine({ ...hurried, NEXUS_ENGINE_LANE_QUEUE_SIZE: "1" }, (driven) =>
      Effect.gen(function* () {
        const results = yield* whileHeld(driven.nexus.databaseUrl, placeAll(driven, ids(40)))

        // One on its way and one that waits, in each of four lanes.
        assert.isAtLeast(failures(results).filter((tag) => tag === "Busy").length, 30)
      })
    )
  ),
  "engine.command_deadline_ms": row(
    "a caller leaves with NotConfirmed then",
    onEngine({ NEXUS_ENGINE_COMMAND_DEADLINE_MS: "300" }, (driven) =>
      Effect.gen(function* () {
        const begun = performance.now()
        const results = yield* whileHeld(driven.nexus.databaseUrl, placeAll(driven, ids(1)))

        assert.deepStrictEqual(failures(results), ["NotConfirmed"])
        assert.isBelow(performance.now() - begun, 2_500)
      })
    )
  ),
  "engine.cached_orders": row(
    "copies in memory, as the metric says",
    onEngine({ NEXUS_ENGINE_CACHED_ORDERS: "3" }, (driven) =>
      Effect.gen(function* () {
        const engine = yield* Engine
        yield* placeAll(driven, ids(12))
        for (const id of ids(12)) yield* driven.nexus.until(id, ({ status }) => status === "COMPLETED")

        yield* driven.nexus.place("one-more", buy)

        yield* until(
          "few copies",
          Effect.map(engine.load, ({ cached }) => cached <= 3)
        )
      })
    )
  ),
  "execution.workers": row(
    "orders at the exchange at a time",
    onEngine(
      { NEXUS_EXECUTION_WORKERS: "3" },
      (driven) =>
        Effect.gen(function* () {
          yield* placeAll(driven, ids(12))

          yield* settlesAt(3, 300, submissions(driven))

          yield* driven.nexus.advance("1 minute")
        }),
      { outcomes: [hanging, hanging, hanging] }
    )
  ),
  "execution.ready_set_size": row(
    "orders taken up at a time, however many workers there are",
    onEngine(
      { NEXUS_EXECUTION_READY_SET_SIZE: "2" },
      (driven) =>
        Effect.gen(function* () {
          yield* placeAll(driven, ids(12))

          yield* settlesAt(2, 300, submissions(driven))

          yield* driven.nexus.advance("1 minute")
        }),
      { outcomes: [hanging, hanging] }
    )
  ),
  "execution.cancel_workers": row(
    "loops that deliver cancels",
    onEngine({ NEXUS_EXECUTION_CANCEL_WORKERS: "2" }, () =>
      Effect.gen(function* () {
        const supervisor = yield* Supervisor
        const names = Effect.map(supervisor.report, (loops) =>
          loops.map(({ name }) => name).filter((name) => name.startsWith("cancels/worker-"))
        )

        yield* until(
          "the loops run",
          Effect.map(names, ({ length }) => length > 0)
        )

        assert.deepStrictEqual((yield* names).toSorted(), ["cancels/worker-0", "cancels/worker-1"])
      })
    )
  ),
  "execution.pickup_after_ms": row(
    "when an order without a message is found in the log",
    onEngine(
      { NEXUS_EXECUTION_PICKUP_AFTER_MS: "60000", NEXUS_EXECUTION_DUE_SCAN_INTERVAL_MS: "50" },
      (driven) =>
        Effect.gen(function* () {
          yield* placeAll(driven, ids(1))

          yield* settlesAt(0, 2_500, submissions(driven))

          yield* driven.nexus.advance("61 seconds")
          yield* settlesAt(1, 0, submissions(driven))
        }),
      withoutRelay
    )
  ),
  "execution.due_scan_interval_ms": row(
    "when the log is looked through again",
    onEngine(
      { NEXUS_EXECUTION_PICKUP_AFTER_MS: "100", NEXUS_EXECUTION_DUE_SCAN_INTERVAL_MS: "20000" },
      (driven) =>
        Effect.gen(function* () {
          yield* placeAll(driven, ids(1))

          yield* settlesAt(0, 1_200, submissions(driven))

          yield* driven.nexus.advance("30 seconds")
          yield* settlesAt(1, 0, submissions(driven))
        }),
      withoutRelay
    )
  ),
  "execution.due_scan_batch": row(
    "orders taken from the log by one look of sixteen pages",
    onEngine(
      { NEXUS_EXECUTION_DUE_SCAN_BATCH: "1", NEXUS_EXECUTION_DUE_SCAN_INTERVAL_MS: "20000" },
      (driven) =>
        Effect.gen(function* () {
          yield* placeAll(driven, ids(30))
          yield* settlesAt(0, 0, submissions(driven))

          yield* driven.nexus.advance("31 seconds")

          yield* settlesAt(16, 300, submissions(driven))
        }),
      withoutRelay
    )
  ),
  "execution.max_age_ms": row(
    "when an order that was never sent ends STALE",
    onEngine({ NEXUS_EXECUTION_MAX_AGE_MS: "10000" }, (driven) =>
      Effect.gen(function* () {
        yield* driven.exchange.goAway
        yield* driven.nexus.place("old", buy)

        yield* driven.nexus.advance("11 seconds")

        const { reason } = yield* driven.nexus.until("old", ({ status }) => status === "FAILED")
        assert.strictEqual(reason?.code, "STALE")
      })
    )
  ),
  "execution.repeat_backoff_ms": row(
    "the wait before a refusal is repeated",
    onEngine(
      { NEXUS_EXECUTION_REPEAT_BACKOFF_MS: "20000", NEXUS_EXECUTION_DUE_SCAN_INTERVAL_MS: "50" },
      (driven) =>
        Effect.gen(function* () {
          yield* driven.nexus.place("again", buy)

          yield* settlesAt(1, 1_200, submissions(driven))

          yield* driven.nexus.advance("21 seconds")
          yield* settlesAt(2, 0, submissions(driven))
        }),
      { outcomes: [refused("-1003", "Too much request weight used.", true), filled] }
    )
  ),
  "reconciler.interval_ms": row(
    "how often open orders are compared",
    onEngine({ NEXUS_RECONCILER_INTERVAL_MS: "100" }, (driven) =>
      until(
        "several sweeps",
        Effect.map(asked(driven, "openOrders"), (count) => count >= 4)
      )
    )
  ),
  "reconciler.doubt_check_ms": row(
    "when a cancel that nobody answered is sent again",
    onEngine(
      { NEXUS_RECONCILER_DOUBT_CHECK_MS: "20000", NEXUS_RECONCILER_INTERVAL_MS: "600000" },
      (driven) =>
        Effect.gen(function* () {
          yield* driven.exchange.nextCancel({ _tag: "AnswerLost" })
          yield* driven.exchange.news("lost")
          yield* driven.nexus.place("resting", limit("BUY", "0.01", "50000"))
          yield* driven.nexus.until("resting", ({ status }) => status === "EXECUTING")
          yield* until(
            "it rests",
            Effect.map(driven.exchange.ledger, ({ length }) => length === 1)
          )
          yield* driven.nexus.cancel("resting")

          yield* settlesAt(1, 1_500, asked(driven, "cancelOrder"))

          yield* driven.nexus.advance("21 seconds")
          yield* settlesAt(2, 0, asked(driven, "cancelOrder"))
        }),
      { outcomes: [rests] }
    )
  ),
  "reconciler.snapshot_refresh_ms": row(
    "how often the exchange is asked for its symbols",
    onEngine({ NEXUS_RECONCILER_SNAPSHOT_REFRESH_MS: "1000" }, (driven) =>
      Effect.gen(function* () {
        for (let second = 1; second <= 5; second++) yield* driven.nexus.advance("1 second")
        yield* until(
          "several snapshots",
          Effect.map(asked(driven, "exchangeInfo"), (count) => count >= 4)
        )
      })
    )
  )
}
