/**
 * A process of its own that follows the user stream of the exchange at an address, until it is killed:
 * `streamOwner.ts DATABASE_URL REST_URL WS_API_URL KEY SECRET`. Says when it holds the lease.
 */
import { Effect, Layer, Redacted, References, Result, Schedule } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { hmacSigner } from "../../src/binance/sign.ts"
import { AppConfig, loadConfig } from "../../src/config.ts"
import { userStreamRole } from "../../src/engine/ExecutionReports.ts"
import { Ownership } from "../../src/engine/Ownership.ts"
import { Supervisor } from "../../src/engine/Supervisor.ts"
import { bus, engineOnSupervisor, exchange, ExchangeAddress, roles, storage } from "../../src/main.ts"

const [databaseUrl = "", baseUrl = "", wsApiUrl = "", key = "", secret = ""] = process.argv.slice(2)

const config = Result.getOrThrow(
  loadConfig({
    yamlText: "",
    env: { DATABASE_URL: databaseUrl, NEXUS_DATABASE_MIGRATE: "false", NEXUS_DATABASE_MAX_IDLE_CONNS: "1" },
    cwd: "/tmp"
  })
)

const address = {
  baseUrl,
  wsApiUrl,
  keys: { apiKey: Redacted.make(key), signer: hmacSigner(Redacted.make(secret)) }
}

await Effect.gen(function* () {
  const { held } = yield* Ownership
  yield* Effect.repeat(held, {
    until: (leases) => leases.some(({ role }) => role === userStreamRole),
    schedule: Schedule.spaced("50 millis")
  })
  process.stdout.write("holds the stream\n")
  return yield* Effect.never
}).pipe(
  Effect.provide(
    roles.pipe(
      Layer.provideMerge(engineOnSupervisor),
      Layer.provideMerge(Supervisor.layer),
      Layer.provideMerge(bus),
      Layer.provideMerge(exchange),
      Layer.provideMerge(Layer.succeed(ExchangeAddress, address)),
      Layer.provideMerge(storage),
      // A process of few roles wants a real Kafka; this one has nothing to publish.
      Layer.provideMerge(Layer.succeed(AppConfig, { ...config, app: { ...config.app, roles: ["reports"] } })),
      Layer.provideMerge(SecureRandom.layerWebCrypto),
      Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "None"))
    )
  ),
  Effect.runPromise
)
