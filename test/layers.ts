/**
 * Layers for whoever builds on the engine: the real one, on a real PostgreSQL, with an exchange of your choice.
 *
 * `TestNexus.layer` has the simulator over its sockets; `TestNexus.on(ScriptedExchange([…]))` an exchange that answers
 * as you say. Everything else is what `npm start` runs, HTTP apart. The clock runs with real time, and `advance` sets
 * it forward for the engine and the exchange alike, so that a test waits for conditions and never for a time.
 * Each layer has a database of its own, which is dropped at its end, unless one is given.
 */
import { Clock, Context, Duration, Effect, Layer, Redacted, References, Result } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { inject } from "vitest"
import { reportText, Verify, type VerifyReport } from "../src/audit/Verify.ts"
import type { BinanceClient } from "../src/binance/BinanceClient.ts"
import type { Breaker } from "../src/binance/Breaker.ts"
import type { RateLimits } from "../src/binance/RateLimits.ts"
import type { ServerTime } from "../src/binance/ServerTime.ts"
import { hmacSigner } from "../src/binance/sign.ts"
import type { UserStream } from "../src/binance/UserStream.ts"
import type { Role } from "../src/config.ts"
import { AppConfig, loadConfig } from "../src/config.ts"
import * as Decimal from "../src/domain/Decimal.ts"
import type { OrderEvent, OrderRequest } from "../src/domain/Event.ts"
import { decode, isOrderEvent } from "../src/domain/Event.ts"
import { OrderId } from "../src/domain/Ids.ts"
import { totalsFaults } from "../src/domain/invariants.ts"
import type { Order } from "../src/domain/Order.ts"
import { Engine } from "../src/engine/Engine.ts"
import { Instruments } from "../src/engine/Instruments.ts"
import { Supervisor } from "../src/engine/Supervisor.ts"
import type { EventBus } from "../src/kafka/EventBus.ts"
import { bus, engineOnSupervisor, exchange, ExchangeAddress, roles, storage } from "../src/main.ts"
import { makeSimulator, type RunningSimulator } from "../src/simulator/Server.ts"
import { EventStore } from "../src/sql/EventStore.ts"
import type { Limits } from "../src/sql/Limits.ts"
import { LogScan } from "../src/sql/LogScan.ts"
import { freshDatabase } from "./harness/template.ts"
import { makeMovableClock, type MovableClock } from "./MovableClock.ts"

export {
  accepted,
  acceptedLate,
  answerLost,
  duplicateOrder,
  ExchangeScript,
  expires,
  filled,
  filledInTwoTrades,
  neverArrived,
  notSent,
  partlyFilled,
  rateLimited,
  refused,
  rests,
  ScriptedExchange,
  slowly
} from "./ScriptedExchange.ts"

export interface TestNexusOptions {
  /** As the environment would say it, such as `NEXUS_EXECUTION_WORKERS`. */
  readonly env?: Readonly<Record<string, string>>
  /** What runs by itself; all of it unless said. [] leaves only the engine that waits to be called. */
  readonly roles?: ReadonlyArray<Role>
  /** Superuser's URL of a migrated database; fresh when absent. */
  readonly databaseUrl?: string
  /** Shared by several engines that are to see one time. */
  readonly clock?: MovableClock
  /** In place of the embedded bus. */
  readonly bus?: Layer.Layer<EventBus>
  /** Around the log, as for a process that dies at one of its appends. */
  readonly store?: Layer.Layer<EventStore, never, EventStore>
  /** In place of the engine's own supervisor. */
  readonly supervisor?: Layer.Layer<Supervisor, never, AppConfig>
  /** Lines of the log on the console from here on; none unless said. */
  readonly logLevel?: "Debug" | "Info" | "Warn" | "Error"
}

/** A running simulator that its test can reach. */
export class Simulator extends Context.Service<Simulator, RunningSimulator>()("nexus/test/Simulator") {}

const apiKey = "key-of-the-tests"
const apiSecret = "secret-of-the-tests"

const simulator = Layer.effect(
  Simulator,
  Effect.gen(function* () {
    const { simulator } = yield* AppConfig
    return yield* makeSimulator({
      host: "127.0.0.1",
      port: 0,
      seed: simulator.seed,
      latencyMs: simulator.latency_ms,
      limits: simulator.limits,
      tickMs: simulator.tick_ms,
      apiKey,
      apiSecret
    })
  })
)

const atSimulator = Layer.effect(
  ExchangeAddress,
  Effect.map(Simulator, ({ url, wsApiUrl }) => ({
    baseUrl: url,
    wsApiUrl,
    keys: { apiKey: Redacted.make(apiKey), signer: hmacSigner(Redacted.make(apiSecret)) }
  }))
)

/** The embedded simulator over its sockets, with the real client in front of it. */
export const SimulatedExchange = exchange.pipe(Layer.provide(atSimulator), Layer.provideMerge(simulator))

/** BUY or SELL this much of BTCUSDT at once. */
export const market = (side: "BUY" | "SELL", quantity: string): OrderRequest => ({
  symbol: "BTCUSDT",
  side,
  type: "MARKET",
  timeInForce: null,
  quantity: Decimal.decimal(quantity),
  quoteQuantity: null,
  price: null,
  validUntil: null
})

/** BUY or SELL this much of BTCUSDT at this price or better, until it is filled or cancelled. */
export const limit = (side: "BUY" | "SELL", quantity: string, price: string): OrderRequest => ({
  ...market(side, quantity),
  type: "LIMIT",
  timeInForce: "GTC",
  price: Decimal.decimal(price)
})

const pollMillis = 5
const patienceMillis = 15_000

/** The engine as a test drives it. The services it is made of are in the context beside it. */
export class TestNexus extends Context.Service<
  TestNexus,
  {
    readonly place: (orderId: string, request: OrderRequest) => ReturnType<Engine["Service"]["place"]>
    readonly cancel: (orderId: string) => ReturnType<Engine["Service"]["cancel"]>
    /** As the log has it now. */
    readonly order: (orderId: string) => Effect.Effect<Order>
    readonly events: (orderId: string) => Effect.Effect<ReadonlyArray<OrderEvent>>
    /** Waits for a condition; says what it saw last when that never comes. */
    readonly until: (orderId: string, isIt: (order: Order) => boolean) => Effect.Effect<Order>
    /** Sets the time forward, for the engine and for the exchange. */
    readonly advance: (by: Duration.Input) => Effect.Effect<void>
    /** The whole log checked as `nexus verify` does, and the metrics identity. Dies of whatever is not as it must be. */
    readonly verify: Effect.Effect<VerifyReport>
    readonly databaseUrl: string
    readonly clock: MovableClock
  }
>()("nexus/test/TestNexus") {
  /** The engine on an exchange of your choice. */
  static readonly on = <X, E>(
    exchangeLayer: Layer.Layer<
      X | BinanceClient | Breaker | RateLimits | ServerTime | UserStream,
      E,
      AppConfig | Limits | SecureRandom.SecureRandom
    >,
    options: TestNexusOptions = {}
  ) =>
    Layer.fresh(
      Layer.unwrap(
        Effect.gen(function* () {
          const databaseUrl = options.databaseUrl ?? (yield* freshDatabase(inject("pgUrl")))
          const clock = options.clock ?? makeMovableClock()
          return Layer.effect(TestNexus, driver(databaseUrl, clock)).pipe(
            Layer.provideMerge(roles),
            Layer.provideMerge(engineOnSupervisor),
            Layer.provideMerge(options.supervisor ?? Supervisor.layer),
            Layer.provideMerge(options.bus ?? bus),
            Layer.provideMerge(exchangeLayer),
            Layer.provideMerge(options.store ?? Layer.empty),
            Layer.provideMerge(Verify.layer.pipe(Layer.provide(LogScan.layer))),
            Layer.provideMerge(storage),
            Layer.provideMerge(Layer.succeed(AppConfig, configOf(databaseUrl, options))),
            Layer.provideMerge(SecureRandom.layerWebCrypto),
            Layer.provideMerge(Layer.succeed(Clock.Clock, clock)),
            Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, options.logLevel ?? "None"))
          )
        })
      )
    )

  /** The engine on the simulator. */
  static readonly layer = TestNexus.on(SimulatedExchange)
}

const configOf = (databaseUrl: string, options: TestNexusOptions) => {
  const config = Result.getOrThrow(
    loadConfig({
      yamlText: "",
      env: {
        DATABASE_URL: databaseUrl,
        NEXUS_DATABASE_MIGRATE: "false",
        NEXUS_DATABASE_MAX_OPEN_CONNS: "8",
        NEXUS_DATABASE_MAX_IDLE_CONNS: "8",
        // Leases are trusted while time is set forward; a test of leases says its own.
        NEXUS_LEASES_TTL_MS: "600000",
        NEXUS_LEASES_RENEW_MS: "100",
        ...options.env
      },
      cwd: "/tmp"
    })
  )
  // A process of few roles wants a real Kafka; a test may do without one.
  return options.roles === undefined ? config : { ...config, app: { ...config.app, roles: options.roles } }
}

const driver = (databaseUrl: string, clock: MovableClock) =>
  Effect.gen(function* () {
    const inner = yield* Engine
    const instruments = yield* Instruments
    const store = yield* EventStore
    const verify = yield* Verify
    const running = yield* Effect.serviceOption(Simulator)
    let ahead = 0

    // Like a healthy start: the symbols are known before the first order comes. An exchange that starts away has none.
    if ((yield* instruments.current) === null) yield* Effect.catch(instruments.refresh, () => Effect.void)

    const order = (orderId: string) =>
      Effect.flatMap(inner.read(OrderId.make(orderId)), (stream) =>
        stream === null ? Effect.die(new Error(`there is no order ${orderId}`)) : Effect.succeed(stream.order)
      ).pipe(Effect.orDie)

    const events = (orderId: string) =>
      Effect.map(store.load(orderId), (stream) =>
        stream.events
          .map(({ data, schemaVersion, type }) => Result.getOrThrow(decode(type, schemaVersion, data)))
          .filter(isOrderEvent)
      ).pipe(Effect.orDie)

    return TestNexus.of({
      place: (orderId, request) => inner.place({ orderId: OrderId.make(orderId), request, traceParent: null }),
      cancel: (orderId) => inner.cancel({ orderId: OrderId.make(orderId), traceParent: null }),
      order,
      events,
      until: Effect.fnUntraced(function* (orderId, isIt) {
        const begun = performance.now()
        while (true) {
          const seen = yield* order(orderId)
          if (isIt(seen)) return seen
          if (performance.now() - begun > patienceMillis) {
            const life = (yield* events(orderId)).map(({ _tag }) => _tag)
            return yield* Effect.die(
              new Error(`${orderId} never got there; it is ${seen.status} after ${life.join(", ")}`)
            )
          }
          yield* Effect.sleep(pollMillis)
        }
      }),
      advance: Effect.fnUntraced(function* (by) {
        ahead += Duration.toMillis(Duration.fromInputUnsafe(by))
        if (running._tag === "Some") running.value.setClockOffset(ahead)
        yield* clock.advance(by)
      }),
      verify: Effect.gen(function* () {
        const faults = totalsFaults(yield* store.totals)
        if (faults.length > 0) return yield* Effect.die(new Error(faults.join("; ")))
        const report = yield* verify.verify
        if (!report.ok) return yield* Effect.die(new Error(reportText(report)))
        return report
      }).pipe(Effect.orDie),
      databaseUrl,
      clock
    })
  })
