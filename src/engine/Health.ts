/**
 * What an operator and a load balancer ask: can a command be stored now, what else is away, and figures.
 *
 * Ready means exactly that a command can be stored. Kafka or the exchange being away never changes it:
 * commands stay durable, and what cannot go on is listed as degraded.
 */
import { Clock, Context, Effect, Layer, Ref, Result } from "effect"
import { BinanceClient } from "../binance/BinanceClient.ts"
import { Breaker } from "../binance/Breaker.ts"
import { ServerTime } from "../binance/ServerTime.ts"
import { AppConfig } from "../config.ts"
import { EventBus } from "../kafka/EventBus.ts"
import { Blotter } from "../sql/Blotter.ts"
import { Database } from "../sql/Database.ts"
import { EventStore, unansweredLimitMillis } from "../sql/EventStore.ts"
import { Replicas } from "../sql/Replicas.ts"
import { Backlog } from "./Backlog.ts"
import { Engine } from "./Engine.ts"
import { ExchangeCheck } from "./ExchangeCheck.ts"
import type { Outlook } from "./ExchangeOutlook.ts"
import { ExchangeOutlook } from "./ExchangeOutlook.ts"
import { ExecutorLoad } from "./ExecutorLoad.ts"
import { Instruments } from "./Instruments.ts"
import { Ownership } from "./Ownership.ts"
import { metricNames, version } from "../telemetry.ts"
import { StreamState, streamAwayMillis } from "./StreamState.ts"
import { Supervisor } from "./Supervisor.ts"

export interface Degraded {
  readonly part: string
  readonly detail: string
}

export interface Readiness {
  readonly ready: boolean
  /** Why not; null when ready. */
  readonly reason: string | null
  readonly degraded: ReadonlyArray<Degraded>
  /** How the exchange stands to this process; null: it has no part in that. */
  readonly exchange: Outlook | null
}

export interface MetricFamily {
  readonly name: string
  readonly help: string
  readonly type: "gauge" | "counter"
  readonly samples: ReadonlyArray<{ readonly labels: Readonly<Record<string, string>>; readonly value: number }>
}

// A probe costs nothing: answers are this old at most.
const freshMillis = 1_000
const roles = ["relay", "executor", "reports", "reconciler"] as const

export class Health extends Context.Service<
  Health,
  {
    readonly readiness: Effect.Effect<Readiness>
    /** The exchange does not answer this process, or was not seen yet; false where it has nothing to do with it. */
    readonly disconnected: Effect.Effect<boolean>
    readonly metrics: Effect.Effect<ReadonlyArray<MetricFamily>>
    /** From now on not ready: the process is about to stop. */
    readonly drain: Effect.Effect<void>
    readonly draining: Effect.Effect<boolean>
  }
>()("nexus/engine/Health") {
  static readonly layer = Layer.effect(
    Health,
    Effect.gen(function* () {
      const { app, leases } = yield* AppConfig
      const backlog = yield* Backlog
      const blotter = yield* Blotter
      const breaker = yield* Breaker
      const bus = yield* EventBus
      const check = yield* ExchangeCheck
      const outlook = yield* ExchangeOutlook
      const client = yield* BinanceClient
      const database = yield* Database
      const engine = yield* Engine
      const events = yield* EventStore
      const instruments = yield* Instruments
      const load = yield* ExecutorLoad
      const ownership = yield* Ownership
      const replicas = yield* Replicas
      const serverTime = yield* ServerTime
      const stream = yield* StreamState
      const supervisor = yield* Supervisor
      const draining = yield* Ref.make(false)
      const needsBus = app.roles.some((role) => role === "relay" || role === "executor")
      const needsExchange = app.roles.some((role) => role === "executor" || role === "reports" || role === "reconciler")

      const streamAway = Effect.map(Clock.currentTimeMillis, (now) =>
        stream.awaySince === null ? 0 : Math.max(0, now - stream.awaySince)
      )

      const disconnected = Effect.gen(function* () {
        return needsExchange && (!(yield* check.hasPassed) || (yield* breaker.state) !== "closed")
      })

      const away = Effect.gen(function* () {
        const degraded: Array<Degraded> = []
        const busFault = needsBus ? yield* bus.health : null
        if (busFault !== null) degraded.push({ part: "kafka", detail: busFault })
        if (needsExchange && !(yield* check.hasPassed)) {
          degraded.push({
            part: "exchange",
            detail: "not yet seen since this process started: orders are stored and wait"
          })
        }
        const exchangeFault = needsExchange ? yield* client.health : null
        if (exchangeFault !== null) degraded.push({ part: "exchange", detail: exchangeFault })
        const limited = needsExchange ? yield* outlook.detail : null
        if (limited !== null) degraded.push({ part: "exchange limits", detail: limited })
        const silentMillis = yield* streamAway
        if (silentMillis > streamAwayMillis) {
          const seconds = Math.round(silentMillis / 1_000)
          degraded.push({
            part: "user-stream",
            detail: `no news from the exchange for ${seconds} s: fills and ends are found by asking`
          })
        }
        const broken = yield* backlog.broken
        if (broken !== null) {
          degraded.push({ part: "log", detail: `${broken.message}; new orders are answered 503, cancels go on` })
        }
        if ((yield* instruments.current) === null) {
          degraded.push({
            part: "instruments",
            detail: "no snapshot of the exchange's symbols: new orders are answered 503"
          })
        }
        for (const { name, waitingFor } of yield* supervisor.report) {
          if (waitingFor !== null) degraded.push({ part: name, detail: waitingFor })
        }
        for (const role of roles) {
          const live = yield* Effect.result(replicas.live(role, leases.ttl_ms))
          if (Result.isSuccess(live) && live.success.length === 0 && !app.roles.includes(role)) {
            degraded.push({ part: role, detail: "no replica runs this role" })
          }
        }
        return degraded
      })

      const probe = Effect.gen(function* () {
        const { unansweredMillis } = yield* events.stats
        // A probe may pass while a lane's own call gets no answer; what counts is whether a command could be stored.
        const stuck =
          unansweredMillis > unansweredLimitMillis
            ? `an append has had no answer for ${Math.round(unansweredMillis / 1_000)} s`
            : null
        const reason = (yield* database.ready) ?? stuck
        // What is merely degraded must not make the answer late.
        const degraded = yield* Effect.timeoutOrElse(away, {
          duration: freshMillis,
          orElse: () => Effect.succeed([{ part: "readiness", detail: "its details did not come in time" }])
        })
        const exchange = needsExchange ? yield* outlook.current : null
        return { ready: reason === null, reason, degraded, exchange }
      })

      let cached: { readonly at: number; readonly readiness: Readiness } | null = null
      const readiness = Effect.gen(function* () {
        if (yield* Ref.get(draining)) {
          return { ready: false, reason: "this process is stopping", degraded: [], exchange: null }
        }
        const now = yield* Clock.currentTimeMillis
        if (cached !== null && now - cached.at < freshMillis && now >= cached.at) return cached.readiness
        const readiness = yield* probe
        cached = { at: now, readiness }
        return readiness
      })

      const metrics = Effect.gen(function* () {
        const families: Array<MetricFamily> = []
        const gauge = (name: string, help: string, value: number) =>
          families.push({ name, help, type: "gauge", samples: [{ labels: {}, value }] })
        const totals = yield* Effect.result(events.totals)
        if (Result.isSuccess(totals)) {
          const { cancelled, completed, failed, processing, total } = totals.success
          const counter = (name: string, help: string, value: number) =>
            families.push({ name, help, type: "counter", samples: [{ labels: {}, value }] })
          counter(metricNames.ordersTotal, "Orders ever placed.", total)
          gauge(metricNames.ordersProcessing, "Orders that are PENDING or EXECUTING.", processing)
          counter(metricNames.ordersCompleted, "Orders that ended COMPLETED.", completed)
          counter(metricNames.ordersFailed, "Orders that ended FAILED.", failed)
          counter(metricNames.ordersCancelled, "Orders that ended CANCELLED.", cancelled)
        }
        const now = yield* Clock.currentTimeMillis
        const owing = yield* backlog.lanes
        families.push({
          name: metricNames.outboxBacklog,
          help: "Events of the lane that the bus does not have yet.",
          type: "gauge",
          samples: owing.map(({ lane, owed }) => ({ labels: { lane: `${lane}` }, value: owed }))
        })
        families.push({
          name: metricNames.outboxLag,
          help: "Age of the oldest event of the lane that the bus does not have yet.",
          type: "gauge",
          samples: owing.map(({ lane, oldestAt }) => ({
            labels: { lane: `${lane}` },
            value: oldestAt === null ? 0 : Math.max(0, now - oldestAt) / 1000
          }))
        })
        gauge(
          metricNames.logBroken,
          "1 while the next event of a lane is not what was written.",
          (yield* backlog.broken) === null ? 0 : 1
        )
        const unknown = yield* Effect.result(blotter.doubtCounts)
        if (Result.isSuccess(unknown)) {
          gauge(metricNames.ordersUnknown, "Orders whose submission is in doubt.", unknown.success.count)
          const oldest = unknown.success.oldestStartedAt
          gauge(
            metricNames.ordersUnknownAge,
            "Age of the oldest attempt in doubt.",
            oldest === null ? 0 : (now - oldest) / 1000
          )
        }
        const { cached: orders, lateEvidence, waiting } = yield* engine.load
        families.push({
          name: metricNames.lateEvidence,
          help: "News of the exchange against an operator's decision, in this process.",
          type: "counter",
          samples: [{ labels: {}, value: lateEvidence }]
        })
        gauge(metricNames.cachedOrders, "Orders with a copy in memory.", orders)
        gauge(metricNames.waitingCommands, "Commands that wait in mailboxes.", waiting)
        gauge(metricNames.clockOffset, "The exchange's clock less ours.", (yield* serverTime.offset) / 1000)
        gauge(metricNames.clockError, "Bound of the error of that offset.", (yield* serverTime.errorBound) / 1000)
        families.push(...(yield* outlook.gauges))
        gauge(
          metricNames.streamAway,
          "How long no news of the exchange can come to this process, if it follows the user stream.",
          (yield* streamAway) / 1000
        )
        gauge(metricNames.executorReady, "Orders in this process that wait for a worker or have one.", load.ready)
        families.push({
          name: metricNames.dueScanHits,
          help: "Orders that no message brought to this process in time, and the scan of the log did.",
          type: "counter",
          samples: [{ labels: {}, value: load.dueScanHits }]
        })
        families.push({
          name: metricNames.buildInfo,
          help: "The release that runs, and on which Node; always 1.",
          type: "gauge",
          samples: [{ labels: { version, node: process.version }, value: 1 }]
        })
        const loops = yield* supervisor.report
        families.push({
          name: metricNames.loopHeartbeatAge,
          help: "Time since the supervised loop last began a step; one that waits for work takes none.",
          type: "gauge",
          samples: loops.map(({ lastBeat, name }) => ({
            labels: { loop: name },
            value: Math.max(0, now - lastBeat) / 1000
          }))
        })
        families.push({
          name: metricNames.loopRestarts,
          help: "Restarts of each supervised loop.",
          type: "counter",
          samples: loops.map(({ name, restarts }) => ({ labels: { loop: name }, value: restarts }))
        })
        families.push({
          name: metricNames.leaseHeld,
          help: "Roles that this replica holds.",
          type: "gauge",
          samples: (yield* ownership.held).map(({ epoch, role }) => ({ labels: { role, epoch: `${epoch}` }, value: 1 }))
        })
        const running = yield* Effect.forEach(roles, (role) =>
          Effect.map(Effect.result(replicas.live(role, leases.ttl_ms)), (live) => ({
            labels: { role },
            value: Result.isSuccess(live) ? live.success.length : Number.NaN
          }))
        )
        families.push({
          name: metricNames.roleReplicas,
          help: "Live replicas that run a role; 0 is a role that nobody runs.",
          type: "gauge",
          samples: running
        })
        return families
      })

      return Health.of({
        readiness,
        disconnected,
        metrics,
        drain: Ref.set(draining, true),
        draining: Ref.get(draining)
      })
    })
  )
}
