/**
 * The program as one graph of layers; the only file that joins them. Read it from the bottom up: storage,
 * exchange and bus below, the engine on them, the roles of this process on the engine, HTTP on top.
 *
 * Built from below and closed from above: the listener first, then submissions in flight, the relay, the
 * leases, the pools, and an embedded exchange and PostgreSQL last.
 */
import { Console, Context, Effect, Layer, Redacted, References, Result, Schedule, Schema } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { randomBytes, randomUUID } from "node:crypto"
import { hostname } from "node:os"
import { join } from "node:path"
import { reportText, Verify } from "./audit/Verify.ts"
import { AccountFacts } from "./binance/AccountFacts.ts"
import { BinanceClient } from "./binance/BinanceClient.ts"
import { Breaker } from "./binance/Breaker.ts"
import { Gateway } from "./binance/Gateway.ts"
import { OrderChanges } from "./binance/OrderChanges.ts"
import { OrderLists } from "./binance/OrderLists.ts"
import { OrderSocket } from "./binance/OrderSocket.ts"
import { readPrivateKey } from "./binance/PrivateKey.ts"
import { RateLimits } from "./binance/RateLimits.ts"
import { Requests } from "./binance/Requests.ts"
import { ServerTime } from "./binance/ServerTime.ts"
import { hmacSigner, type Keys } from "./binance/sign.ts"
import { Transport } from "./binance/Transport.ts"
import { UserStream } from "./binance/UserStream.ts"
import { bannerText } from "./commands/bannerText.ts"
import { examineKafka } from "./commands/examineKafka.ts"
import { foreign as listForeign } from "./commands/foreign.ts"
import { leases as listLeases } from "./commands/leases.ts"
import * as parked from "./commands/parked.ts"
import { recover as recoverStore } from "./commands/recover.ts"
import { republish as sendAgain } from "./commands/republish.ts"
import { resolve as resolveOrder } from "./commands/resolve.ts"
import { schemaFinding, schemaSentence } from "./commands/schemaSentence.ts"
import { topics as makeTopics } from "./commands/topics.ts"
import type { Role } from "./config.ts"
import { AppConfig, simulatorKeys } from "./config.ts"
import { StoreId } from "./domain/Ids.ts"
import { Backlog } from "./engine/Backlog.ts"
import { AmendedOrders } from "./engine/AmendedOrders.ts"
import * as AnchorKeeper from "./engine/AnchorKeeper.ts"
import { Attempt } from "./engine/Attempt.ts"
import { Balances } from "./engine/Balances.ts"
import * as CancelDelivery from "./engine/CancelDelivery.ts"
import { Cancels } from "./engine/Cancels.ts"
import { examineBinding, examineExchange, fault, findingsText, note } from "./engine/Doctor.ts"
import { DoubtStories } from "./engine/DoubtStories.ts"
import { Doubts } from "./engine/Doubts.ts"
import { Engine } from "./engine/Engine.ts"
import { ExchangeCheck } from "./engine/ExchangeCheck.ts"
import { ExchangeOutlook } from "./engine/ExchangeOutlook.ts"
import * as ExecutionReports from "./engine/ExecutionReports.ts"
import * as Executor from "./engine/Executor.ts"
import { ExecutorLoad } from "./engine/ExecutorLoad.ts"
import { ForeignOrders } from "./engine/ForeignOrders.ts"
import { Health } from "./engine/Health.ts"
import { LostCommits } from "./engine/LostCommits.ts"
import { Instruments } from "./engine/Instruments.ts"
import { OpenOrders } from "./engine/OpenOrders.ts"
import { Resets } from "./engine/Resets.ts"
import { VanishedOrders } from "./engine/VanishedOrders.ts"
import { Ownership } from "./engine/Ownership.ts"
import { Reconciliation } from "./engine/Reconciliation.ts"
import * as Reconciler from "./engine/Reconciler.ts"
import * as Relay from "./engine/Relay.ts"
import { Settlement } from "./engine/Settlement.ts"
import * as SharedBudget from "./engine/SharedBudget.ts"
import { StreamState } from "./engine/StreamState.ts"
import { notUnderRecovery, StartCheck } from "./engine/StartCheck.ts"
import { StoreWatch } from "./engine/StoreWatch.ts"
import { Supervisor } from "./engine/Supervisor.ts"
import { ListeningAddress, Server } from "./http/Server.ts"
import * as EmbeddedBus from "./kafka/EmbeddedBus.ts"
import * as KafkaBus from "./kafka/KafkaBus.ts"
import { readSecurity } from "./kafka/Security.ts"
import { TopicHistory } from "./kafka/TopicHistory.ts"
import { makeSimulator } from "./simulator/Server.ts"
import { Blotter } from "./sql/Blotter.ts"
import { Cursors } from "./sql/Cursors.ts"
import type { DatabaseAddress } from "./sql/Database.ts"
import { Database } from "./sql/Database.ts"
import { EmbeddedPostgres } from "./sql/EmbeddedPostgres.ts"
import { EventStore } from "./sql/EventStore.ts"
import { Findings } from "./sql/Findings.ts"
import { Generations } from "./sql/Generations.ts"
import { Recoveries } from "./sql/Recoveries.ts"
import { ForeignOrders as KeptForeignOrders } from "./sql/ForeignOrders.ts"
import { Instruments as Snapshots } from "./sql/Instruments.ts"
import { LogScan } from "./sql/LogScan.ts"
import { Leases } from "./sql/Leases.ts"
import { Limits } from "./sql/Limits.ts"
import { migrate as migrateDatabase, verifySchema } from "./sql/Migrations.ts"
import { Parked } from "./sql/Parked.ts"
import { Replicas } from "./sql/Replicas.ts"
import { readIdentity, Store } from "./sql/Store.ts"
import type { StoreUnavailable } from "./sql/StoreUnavailable.ts"
import { Telemetry } from "./telemetry.ts"

/** Where PostgreSQL is, real or embedded. */
class Postgres extends Context.Service<
  Postgres,
  {
    readonly serving: DatabaseAddress
    readonly migrating: DatabaseAddress
    /** For the banner: what a person should know of an embedded one; null: nothing. */
    readonly note: string | null
  }
>()("nexus/main/Postgres") {
  /** An embedded one is this program's own. */
  static readonly layer = Layer.effect(Postgres, postgres(EmbeddedPostgres.make))
  /** An embedded one is that of the program that serves now, if there is one: for what only reads. */
  static readonly sharedLayer = Layer.effect(Postgres, postgres(EmbeddedPostgres.makeOrAttach))
}

function postgres(open: typeof EmbeddedPostgres.make) {
  return Effect.gen(function* () {
    const { app, connections, database, parts } = yield* AppConfig
    if (parts.database === "server") return { ...connections, note: null }
    const { note, url } = yield* open({
      root: app.data_dir,
      dataDir: join(app.data_dir, parts.exchange.toLowerCase()),
      port: database.embedded_port
    })
    return { serving: { url }, migrating: { url }, note }
  })
}

const migrated = Layer.effectDiscard(
  Effect.gen(function* () {
    const { database, parts } = yield* AppConfig
    const { migrating, serving } = yield* Postgres
    const migrates = parts.database === "embedded" || database.migrate
    const options = { address: migrates ? migrating : serving, lanes: database.lanes }
    if (migrates) yield* Effect.catchTag(migrateDatabase(options), "StoreUnavailable", databaseAway)
    // Also then: a later release may have been here, which is said.
    const state = yield* Effect.catchTag(verifySchema(options), "StoreUnavailable", databaseAway)
    const said = schemaSentence(state)
    if (said !== null) yield* Effect.logWarning(said)
  })
)

/** PostgreSQL is away at the start, which is told at once: waiting would hide a wrong address. */
class DatabaseAway extends Schema.TaggedError<DatabaseAway>()("DatabaseAway", {
  address: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `PostgreSQL does not serve at ${this.address}: start it, or check DATABASE_URL (${this.detail})`
  }
}

const databaseAway = ({ detail }: StoreUnavailable) =>
  Effect.flatMap(AppConfig, ({ connections, parts }) => {
    const { host, port } = connections.serving
    const address = parts.database === "embedded" ? "its own address" : `${host}:${port}`
    return Effect.fail(new DatabaseAway({ address, detail }))
  })

const pools = Layer.unwrap(
  Effect.gen(function* () {
    const { app, database } = yield* AppConfig
    const { serving } = yield* Postgres
    return Database.layer({ name: app.name, address: serving, limits: database })
  })
)

const log = Layer.unwrap(
  Effect.gen(function* () {
    const { database, engine, parts } = yield* AppConfig
    const random = yield* SecureRandom.SecureRandom
    return Layer.mergeAll(
      EventStore.layer({
        lanes: database.lanes,
        node: hostname(),
        laneQueueSize: engine.lane_queue_size,
        appendsInFlight: database.appends_in_flight
      }),
      Store.layer({ exchange: parts.exchange, storeId: StoreId.make(yield* random.uuidV4()) })
    )
  })
)

const kept = Layer.mergeAll(
  Blotter.layer,
  Cursors.layer,
  Findings.layer,
  Generations.layer,
  KeptForeignOrders.layer,
  Leases.layer,
  Limits.layer,
  Parked.layer,
  Replicas.layer,
  Snapshots.layer,
  log
).pipe(Layer.provideMerge(pools), Layer.provide(migrated))

/** PostgreSQL, migrated, with everything that is kept in it. */
export const storage = kept.pipe(Layer.provideMerge(Postgres.layer))

/** Where the exchange is, and the keys of our account there. */
export class ExchangeAddress extends Context.Service<
  ExchangeAddress,
  {
    readonly baseUrl: string
    readonly wsApiUrl: string
    readonly keys: Keys
  }
>()("nexus/main/ExchangeAddress") {
  /** The embedded simulator where the configuration wants one, else what was given. */
  static readonly layer = Layer.effect(
    ExchangeAddress,
    Effect.gen(function* () {
      const { app, binance, parts, simulator } = yield* AppConfig
      const { api_key, api_secret, base_url, private_key_file, ws_api_url } = binance.testnet
      if (!parts.exchangeEmbedded || !app.roles.includes("simulator")) {
        const signer = private_key_file === "" ? hmacSigner(api_secret) : yield* readPrivateKey(private_key_file)
        return { baseUrl: base_url, wsApiUrl: ws_api_url, keys: { apiKey: api_key, signer } }
      }
      const random = yield* SecureRandom.SecureRandom
      const apiKey = yield* random.uuidV4()
      const apiSecret = yield* random.uuidV4()
      const { url, wsApiUrl } = yield* makeSimulator({
        host: "127.0.0.1",
        port: 0,
        seed: simulator.seed,
        latencyMs: simulator.latency_ms,
        limits: simulator.limits,
        tickMs: simulator.tick_ms,
        journal: join(app.data_dir, parts.exchange.toLowerCase(), "exchange"),
        apiKey,
        apiSecret
      })
      const keys = { apiKey: Redacted.make(apiKey), signer: hmacSigner(Redacted.make(apiSecret)) }
      return { baseUrl: url, wsApiUrl, keys }
    })
  )
}

// Comparisons, doubts and symbols ask a few questions at a time.
const questionConnections = 16

/** The client of that exchange: REST and user stream over one budget, one circuit and one clock. */
const exchangeOn = <E, R>(budget: Layer.Layer<RateLimits, E, R>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { binance, execution } = yield* AppConfig
      const { baseUrl, keys, wsApiUrl } = yield* ExchangeAddress
      const { order_transport, recv_window_ms: recvWindowMillis, timeout_ms: timeoutMillis } = binance.testnet
      // Every worker may have a request in flight, and questions must not wait for all of them.
      const maxConnections = execution.workers + execution.cancel_workers + questionConnections
      return Layer.mergeAll(
        BinanceClient.layer,
        OrderChanges.layer,
        OrderLists.layer,
        AccountFacts.layer,
        UserStream.layer({ wsApiUrl, keys, silenceMillis: binance.stream_silence_ms })
      ).pipe(
        Layer.provideMerge(Requests.layer({ keys, recvWindowMillis })),
        Layer.provideMerge(ServerTime.layer),
        Layer.provideMerge(
          order_transport === "rest"
            ? Gateway.layer
            : Gateway.layerOverWebSocket.pipe(
                Layer.provide(OrderSocket.layer({ wsApiUrl, timeoutMillis, maxInFlight: maxConnections }))
              )
        ),
        Layer.provide(Transport.layer({ baseUrl, timeoutMillis, maxConnections })),
        Layer.provideMerge(Layer.mergeAll(Breaker.layer, budget))
      )
    })
  )

export const exchange = exchangeOn(RateLimits.sharedLayer).pipe(Layer.provide(SharedBudget.layer))

const kafkaOptions = Effect.gen(function* () {
  const { app, database, kafka } = yield* AppConfig
  return {
    brokers: kafka.brokers,
    clientId: app.name,
    security: yield* readSecurity(kafka),
    topics: kafka.topics,
    lanes: database.lanes,
    createTopics: kafka.create_topics,
    replicationFactor: kafka.replication_factor,
    minInsyncReplicas: kafka.min_insync_replicas,
    retentionMs: kafka.retention_ms
  }
})

export const bus = Layer.unwrap(
  Effect.gen(function* () {
    const { parts } = yield* AppConfig
    return parts.kafka === "embedded" ? EmbeddedBus.layer : KafkaBus.layer(yield* kafkaOptions)
  })
)

/** What the topic of events has already. */
const history = Layer.unwrap(
  Effect.gen(function* () {
    const { kafka, parts } = yield* AppConfig
    if (parts.kafka === "embedded") return TopicHistory.layer(null)
    return TopicHistory.layer({ ...(yield* kafkaOptions), consumerGroup: kafka.consumer_group })
  })
)

/** Everything of the engine that waits to be called; what happens by itself are the roles. */
export const engineOnSupervisor = Health.layer.pipe(
  Layer.provideMerge(Layer.mergeAll(Attempt.layer, Doubts.layer, OpenOrders.layer, Reconciliation.layer)),
  Layer.provideMerge(VanishedOrders.layer),
  Layer.provideMerge(Resets.layer),
  Layer.provideMerge(Layer.mergeAll(AmendedOrders.layer, Settlement.layer, ExchangeCheck.layer, Ownership.layer)),
  Layer.provideMerge(Cancels.layer),
  Layer.provideMerge(Engine.layer),
  Layer.provideMerge(
    Layer.mergeAll(
      Backlog.layer,
      Balances.layer,
      DoubtStories.layer,
      ExchangeOutlook.layer,
      ExecutorLoad.layer,
      ForeignOrders.layer,
      Instruments.layer,
      StreamState.layer
    )
  )
)

export const engine = engineOnSupervisor.pipe(Layer.provideMerge(Supervisor.layer))

/** In the order in which they start; they stop the other way round, so that nothing is sent that nobody relays. */
export const roles = Layer.unwrap(
  Effect.gen(function* () {
    const wanted = new Set<Role>((yield* AppConfig).app.roles)
    const talksToExchange = wanted.has("executor") || wanted.has("reports") || wanted.has("reconciler")
    return Layer.empty.pipe(
      Layer.provideMerge(wanted.has("executor") ? Executor.layer : Layer.empty),
      Layer.provideMerge(talksToExchange ? CancelDelivery.layer : Layer.empty),
      Layer.provideMerge(wanted.has("reports") ? ExecutionReports.layer : Layer.empty),
      Layer.provideMerge(wanted.has("reconciler") ? Reconciler.layer : Layer.empty),
      Layer.provideMerge(wanted.has("relay") ? Relay.layer : Layer.empty)
    )
  })
)

/** Another process serves the store already. The message says what to do. */
class StoreInUse extends Schema.TaggedError<StoreInUse>()("StoreInUse", { replica: Schema.String }) {
  override get message() {
    return (
      `another process (replica ${this.replica}) serves this database, and only a Kafka can join the two: ` +
      "set KAFKA_BROKERS for both, or stop that one"
    )
  }
}

// Whoever was killed is still told of until its leases have run out.
const aloneMarginMillis = 1_000
const alonePollMillis = 100

/** The embedded bus delivers within one process. A database of our own has a lock on its folder besides. */
const alone = Layer.effectDiscard(
  Effect.gen(function* () {
    const { leases, parts } = yield* AppConfig
    if (parts.kafka === "server" || parts.database === "embedded") return
    const replicas = yield* Replicas
    let others: ReadonlyArray<string> = []
    yield* replicas.live("relay", leases.ttl_ms).pipe(
      Effect.tap((live) => Effect.sync(() => (others = live))),
      Effect.repeat({ until: (live) => live.length === 0, schedule: Schedule.spaced(alonePollMillis) }),
      Effect.timeoutOrElse({
        duration: leases.ttl_ms + aloneMarginMillis,
        orElse: () => new StoreInUse({ replica: others.join(", ") })
      })
    )
  })
)

/** Built last and closed first: not ready any more, then a while for load balancers to notice. */
const draining = (lastSignal: () => string | null) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { http, parts } = yield* AppConfig
      const health = yield* Health
      yield* Effect.addFinalizer(() =>
        Effect.andThen(
          health.drain,
          lastSignal() === "SIGTERM" && parts.database === "server" ? Effect.sleep(http.drain_ms) : Effect.void
        )
      )
    })
  )

/** Node keeps a pool of random UUIDs: a fifteenth of what drawing each one costs, on the path of every command. */
export const chance = Layer.sync(SecureRandom.SecureRandom, () => {
  const drawn = SecureRandom.make(randomBytes)
  const uuidV4 = (options?: { readonly format?: "string" | "bytes" | undefined }) =>
    options?.format === "bytes" ? drawn.uuidV4({ format: "bytes" }) : Effect.sync(() => randomUUID())
  return { ...drawn, uuidV4: uuidV4 as SecureRandom.UuidGenerator }
})

const foundation = Layer.mergeAll(Telemetry.layer, chance).pipe(
  Layer.provideMerge(Layer.effect(AppConfig, AppConfig.fromProcess({ readDotEnv: true })))
)

/** Serves until a signal comes, the restart budget is spent, or account or store prove not to be what they were. */
export const serve = (lastSignal: () => string | null) =>
  Effect.gen(function* () {
    const supervisor = yield* Supervisor
    const check = yield* ExchangeCheck
    const start = yield* StartCheck
    const watch = yield* StoreWatch
    yield* Console.log(yield* banner)
    return yield* Effect.raceAllFirst([supervisor.giveUp, check.refused, start.refused, watch.refused])
  }).pipe(
    Effect.provide(
      draining(lastSignal).pipe(
        Layer.provideMerge(served),
        Layer.provideMerge(roles),
        Layer.provideMerge(AnchorKeeper.layer),
        Layer.provideMerge(engine),
        Layer.provideMerge(alone),
        Layer.provideMerge(StartCheck.gatedBus),
        Layer.provideMerge(StoreWatch.watchedBus),
        Layer.provideMerge(StoreWatch.layer({ node: hostname() })),
        Layer.provideMerge(StartCheck.layer),
        Layer.provideMerge(LostCommits.layer),
        Layer.provideMerge(Supervisor.layer),
        Layer.provideMerge(Layer.mergeAll(bus, exchange, history)),
        Layer.provideMerge(ExchangeAddress.layer),
        Layer.provideMerge(storage),
        Layer.provideMerge(foundation)
      )
    )
  )

/** The listener, where this process has the role for it. */
const served = Layer.unwrap(
  Effect.map(AppConfig, ({ app }) =>
    app.roles.includes("api") ? Server.layer : Layer.succeed(ListeningAddress, { url: "", port: 0 })
  )
)

const banner = Effect.gen(function* () {
  const { note } = yield* Postgres
  const { url } = yield* ListeningAddress
  const { baseUrl } = yield* ExchangeAddress
  return bannerText(yield* AppConfig, { url, baseUrl, note })
})

/** `nexus migrate`: says what was applied. */
export const migrate = Effect.gen(function* () {
  const { database } = yield* AppConfig
  const { migrating } = yield* Postgres
  const applied = yield* Effect.catchTag(
    migrateDatabase({ address: migrating, lanes: database.lanes }),
    "StoreUnavailable",
    databaseAway
  )
  yield* Console.log(
    applied.length === 0 ? "the schema is up to date" : applied.map((file) => `applied ${file}`).join("\n")
  )
}).pipe(Effect.provide(Postgres.layer.pipe(Layer.provideMerge(foundation))))

export const topics = makeTopics(kafkaOptions).pipe(Effect.provide(foundation))

class NotVerified extends Schema.TaggedError<NotVerified>()("NotVerified", { findings: Schema.Int }) {
  override get message() {
    return `the log is not as it was written: ${this.findings} findings`
  }
}

/** `nexus verify`: fails when anything in the log is not as it was written. */
export const verify = Effect.gen(function* () {
  const report = yield* (yield* Verify).verify
  yield* Console.log(reportText(report))
  if (!report.ok) return yield* new NotVerified({ findings: report.findingCount })
}).pipe(
  Effect.provide(
    Verify.layer.pipe(
      Layer.provide(LogScan.layer),
      Layer.provide(kept),
      Layer.provide(Postgres.sharedLayer),
      Layer.provideMerge(foundation)
    )
  )
)

/** What an operator's command reads, on the database of whatever serves now. */
const reading = kept.pipe(Layer.provide(Postgres.sharedLayer), Layer.provideMerge(foundation))

export const foreign = listForeign.pipe(Effect.provide(reading))
export const leases = listLeases.pipe(Effect.provide(reading))
export const listParked = (from: Parameters<typeof parked.listParked>[0]) =>
  parked.listParked(from).pipe(Effect.provide(reading))
export const showParked = (of: Parameters<typeof parked.showParked>[0]) =>
  parked.showParked(of).pipe(Effect.provide(reading))

/** For a process that places no orders. */
const noSymbols = Layer.succeed(Instruments, {
  current: Effect.succeed(null),
  refresh: Effect.void,
  market: () => Effect.never
})

/** The engine's one door alone, on the database of whatever serves now. */
const engineAlone = Layer.mergeAll(Engine.layer, DoubtStories.layer).pipe(
  Layer.provide(Layer.mergeAll(Backlog.layer, noSymbols)),
  Layer.provide(Supervisor.layer),
  Layer.provideMerge(kept),
  Layer.provide(Postgres.sharedLayer),
  Layer.provideMerge(foundation)
)
export const resolve = (decision: Parameters<typeof resolveOrder>[0]) =>
  Effect.andThen(notUnderRecovery, resolveOrder(decision)).pipe(Effect.provide(engineAlone))
export const unpark = (word: Parameters<typeof parked.unpark>[0]) =>
  Effect.andThen(notUnderRecovery, parked.unpark(word)).pipe(Effect.provide(engineAlone))

export const republish = (range: Parameters<typeof sendAgain>[0]) =>
  Effect.andThen(notUnderRecovery, sendAgain(range)).pipe(
    Effect.provide(Layer.mergeAll(bus, kept).pipe(Layer.provide(Postgres.sharedLayer), Layer.provideMerge(foundation)))
  )

const recoveries = Layer.unwrap(Effect.map(Postgres, ({ migrating }) => Recoveries.layer({ address: migrating })))

export const recover = (options: Parameters<typeof recoverStore>[0]) =>
  recoverStore(options).pipe(
    Effect.provide(
      Layer.mergeAll(Settlement.layer, LostCommits.layer).pipe(
        Layer.provideMerge(Cancels.layer),
        Layer.provideMerge(Engine.layer),
        Layer.provide(Layer.mergeAll(Backlog.layer, noSymbols)),
        Layer.provideMerge(Supervisor.layer),
        Layer.provideMerge(Layer.mergeAll(history, recoveries, exchangeOn(RateLimits.layer))),
        Layer.provide(ExchangeAddress.layer),
        Layer.provideMerge(storage),
        Layer.provideMerge(foundation)
      )
    )
  )

class Unwell extends Schema.TaggedError<Unwell>()("Unwell", { faults: Schema.Int }) {
  override get message() {
    return this.faults === 1 ? "one fault" : `${this.faults} faults`
  }
}

/** `nexus doctor`: what keeps this configuration from trading; fails if anything does. */
export const doctor = ({ testOrder }: { readonly testOrder: boolean }) =>
  Effect.gen(function* () {
    const { parts } = yield* AppConfig
    const [database, exchange, kafka] = yield* Effect.all(
      [examineDatabase, examineExchangePart(testOrder), examineKafka(kafkaOptions)],
      {
        concurrency: "unbounded"
      }
    )
    const findings = [...exchange.findings, ...database.findings, ...kafka]
    if (database.identity !== null) {
      findings.push(examineBinding(database.identity, { exchange: parts.exchange, accountUid: exchange.uid }))
    }
    yield* Console.log(findingsText(findings))
    const faults = findings.filter(({ verdict }) => verdict === "fault").length
    if (faults > 0) return yield* new Unwell({ faults })
  }).pipe(
    // What is wrong is told once, in its line.
    Effect.provideService(References.MinimumLogLevel, "None"),
    Effect.provide(foundation)
  )

const examineExchangePart = (testOrder: boolean) =>
  Effect.gen(function* () {
    const { binance, parts } = yield* AppConfig
    if (parts.exchangeEmbedded) {
      const says = "the embedded simulator: orders are played, not traded"
      const remedy = "set BINANCE_TESTNET_API_KEY and BINANCE_TESTNET_API_SECRET to trade on the testnet"
      return { findings: [note("exchange", says, remedy)], uid: null }
    }
    return yield* examineExchange({ address: binance.testnet.base_url, testOrder }).pipe(
      Effect.provide(exchangeOn(RateLimits.layer).pipe(Layer.provide(ExchangeAddress.layer))),
      Effect.catch(({ message }) =>
        Effect.succeed({ findings: [fault("keys", message, "mend the configuration of binance.testnet")], uid: null })
      )
    )
  })

/** Changes nothing: what the start would migrate is only told. */
const examineDatabase = Effect.gen(function* () {
  const { app, connections, database, parts } = yield* AppConfig
  const embedded = parts.database === "embedded"
  const where = embedded
    ? `embedded, data in ${app.data_dir}`
    : `${connections.serving.host}:${connections.serving.port}`
  const examined = Effect.gen(function* () {
    const { serving } = yield* Postgres
    const schema = yield* Effect.result(verifySchema({ address: serving, lanes: database.lanes }))
    if (Result.isFailure(schema)) {
      const { _tag, message } = schema.failure
      if (_tag === "StoreUnavailable" || !(embedded || database.migrate) || !message.startsWith("The database lacks")) {
        return yield* schema.failure
      }
      return { findings: [note("database", `${where}: no schema of today yet`, "the start brings it")], identity: null }
    }
    return yield* Effect.gen(function* () {
      const reason = yield* (yield* Database).ready
      return reason === null
        ? { findings: [schemaFinding(where, schema.success)], identity: yield* readIdentity }
        : {
            findings: [fault("database", `${where}: ${reason}`, "nothing can be stored until that is mended")],
            identity: null
          }
    }).pipe(Effect.provide(pools))
  })
  return yield* examined.pipe(
    Effect.provide(Postgres.sharedLayer),
    Effect.catch(({ _tag, message }) => {
      const remedy = _tag === "StoreUnavailable" ? "start it, or check DATABASE_URL" : "then examine again"
      return Effect.succeed({ findings: [fault("database", `${where}: ${message}`, remedy)], identity: null })
    })
  )
})

/** `nexus simulate-exchange`: until a signal comes. */
export const simulateExchange = (options: {
  readonly host: string
  readonly port: number
  readonly seed: number
  readonly journal: string | undefined
  readonly latencyMillis: number
  readonly limits: "off" | "real"
  readonly controlPort: number | undefined
  /** PEM texts. */
  readonly publicKeys: ReadonlyArray<string>
}) =>
  Effect.gen(function* () {
    const { apiKey, apiSecret } = yield* simulatorKeys
    const { controlUrl, url, wsApiUrl } = yield* makeSimulator({
      host: options.host,
      port: options.port,
      seed: options.seed,
      latencyMs: options.latencyMillis,
      limits: options.limits,
      publicKeys: options.publicKeys,
      tickMs: 250,
      ...(options.journal === undefined ? {} : { journal: options.journal }),
      ...(options.controlPort === undefined ? {} : { controlPort: options.controlPort }),
      ownsProcess: true,
      apiKey: Redacted.value(apiKey),
      apiSecret: Redacted.value(apiSecret)
    })
    yield* Console.log(`SIMULATOR  REST ${url}   WebSocket API ${wsApiUrl}`)
    if (controlUrl !== undefined) yield* Console.log(`CONTROL    ${controlUrl}`)
    return yield* Effect.never
  }).pipe(Effect.scoped)
