/** Who runs what must be single: taken over in time from an owner that is gone, and never held up by one that is slow. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Redacted, Scope } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { inject } from "vitest"
import { hmacSigner } from "../../src/binance/sign.ts"
import { userStreamRole } from "../../src/engine/ExecutionReports.ts"
import { Ownership } from "../../src/engine/Ownership.ts"
import { exchange, ExchangeAddress } from "../../src/main.ts"
import { makeSimulator } from "../../src/simulator/Server.ts"
import { asAdministrator, freshDatabase } from "../harness/template.ts"
import { limit, ScriptedExchange, Simulator, TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { filledOf, hasEnded, isResting } from "./scripted.ts"

const [key, secret] = ["key-of-two", "secret-of-two"]
const script = fileURLToPath(new URL("streamOwner.ts", import.meta.url))

/** A process that follows the stream, once it does. */
const streamOwner = (...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly kill: () => void }>((resume) => {
      const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "inherit"] })
      child.stdout.once("data", () => resume(Effect.succeed({ kill: () => void child.kill("SIGKILL") })))
      child.once("exit", () => resume(Effect.die(new Error("the other process ended before it held the stream"))))
    }),
    ({ kill }) => Effect.sync(kill)
  )

/** As promised for every role whose owner is killed. */
const takeoverMillis = 5_000

const usualLeases = { NEXUS_LEASES_TTL_MS: "3000", NEXUS_LEASES_RENEW_MS: "500" }

describe("Ownership", () => {
  it.live(
    "the user stream of a process that is killed is followed by another one within 5 s, and no fill is missed",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const databaseUrl = yield* freshDatabase(inject("pgUrl"))
          const simulator = yield* makeSimulator({
            host: "127.0.0.1",
            port: 0,
            seed: 7,
            latencyMs: 0,
            limits: "real",
            tickMs: 0,
            apiKey: key,
            apiSecret: secret
          })
          const keys = { apiKey: Redacted.make(key), signer: hmacSigner(Redacted.make(secret)) }
          const there = exchange.pipe(
            Layer.provide(
              Layer.succeed(ExchangeAddress, { baseUrl: simulator.url, wsApiUrl: simulator.wsApiUrl, keys })
            ),
            Layer.provideMerge(Layer.succeed(Simulator, simulator))
          )
          const other = yield* streamOwner(databaseUrl, simulator.url, simulator.wsApiUrl, key, secret)

          yield* Effect.gen(function* () {
            const nexus = yield* TestNexus
            const ownership = yield* Ownership
            const held = Effect.map(ownership.held, (leases) => leases.map(({ role }) => role))
            for (const id of ["before", "between"]) {
              yield* nexus.place(id, limit("BUY", "0.001", id === "before" ? "64000" : "60000"))
              yield* nexus.until(id, isResting)
            }
            simulator.moveMarket("BTCUSDT", "63000")
            yield* nexus.until("before", hasEnded)
            assert.notInclude(yield* held, userStreamRole)

            other.kill()
            const killed = performance.now()
            simulator.moveMarket("BTCUSDT", "59000")

            const order = yield* nexus.until("between", hasEnded)
            assert.deepStrictEqual([order.status, filledOf(order)], ["COMPLETED", "0.001"])
            assert.include(yield* held, userStreamRole)
            assert.isBelow(performance.now() - killed, takeoverMillis)
          }).pipe(
            // Nobody sweeps: only the stream tells.
            Effect.provide(TestNexus.on(there, { databaseUrl, env: usualLeases, roles: ["executor", "reports"] }))
          )
        })
      ),
    60_000
  )

  it.live("a role that takes its time to end holds up the renewal of no other", () =>
    Effect.gen(function* () {
      const { databaseUrl } = yield* TestNexus
      const ownership = yield* Ownership
      const scope = yield* Scope.make()
      // Its end takes until then, like a send that is not answered.
      const answered = yield* Deferred.make<void>()
      yield* Effect.addFinalizer(() => Deferred.succeed(answered, undefined))
      yield* ownership.own("relay/0", () => Effect.uninterruptible(Deferred.await(answered))).pipe(Scope.provide(scope))
      yield* ownership.own("relay/1", () => Effect.never).pipe(Scope.provide(scope))
      const held = Effect.map(ownership.held, (leases) => leases.map(({ role }) => role))
      yield* until(held, (roles) => roles.length === 2)
      const rows = (columns: string) =>
        asAdministrator(databaseUrl, (sql) =>
          sql.unsafe(`select ${columns} from leases where role in ('relay/0', 'relay/1') order by role`)
        )

      // Another replica has taken it, as this one sees at its next renewal.
      yield* asAdministrator(databaseUrl, (sql) =>
        sql.unsafe("update leases set owner = 'another', epoch = epoch + 1 where role = 'relay/0'")
      )
      yield* until(held, (roles) => roles.length === 1)

      const [before] = (yield* rows("max(expires_at) over () as until")) as ReadonlyArray<{ readonly until: Date }>
      yield* until(
        Effect.map(
          rows("max(expires_at) over () as until"),
          (found) => (found as ReadonlyArray<{ readonly until: Date }>)[0]?.until.getTime() ?? 0
        ),
        (now) => now > (before?.until.getTime() ?? 0)
      )
      assert.deepStrictEqual(yield* held, ["relay/1"])
      yield* Deferred.succeed(answered, undefined)
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.scoped, Effect.provide(TestNexus.on(ScriptedExchange([]), { roles: [], env: usualLeases })))
  )

  it.live("whoever cannot do a role leaves it to a replica that can, and offers itself again once it can", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const databaseUrl = yield* freshDatabase(inject("pgUrl"))
        const [one, other] = [yield* candidate(databaseUrl), yield* candidate(databaseUrl)]
        yield* until(rolesOf(one, other), (held) => held.every((roles) => roles.length === 2))

        one.fault = "cut off"
        yield* until(rolesOf(one, other), ([mine, theirs]) => mine?.length === 0 && theirs?.length === 4)

        one.fault = null
        yield* until(rolesOf(one, other), (held) => held.every((roles) => roles.length === 2))
      })
    )
  )

  it.live("one slow answer alone moves no role", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const databaseUrl = yield* freshDatabase(inject("pgUrl"))
        const [one, other] = [yield* candidate(databaseUrl), yield* candidate(databaseUrl)]
        yield* until(rolesOf(one, other), (held) => held.every((roles) => roles.length === 2))
        const before = yield* rolesOf(one, other)

        one.slowAnswers = 1
        yield* until(
          Effect.sync(() => one.slowAnswers),
          (left) => left === 0
        )
        const { asked } = one
        yield* until(
          Effect.sync(() => one.asked),
          (count) => count > asked + 1
        )

        assert.deepStrictEqual(yield* rolesOf(one, other), before)
      })
    )
  )

  it.live("of replicas that all cannot do a role, one keeps it and waits", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const databaseUrl = yield* freshDatabase(inject("pgUrl"))
        const [one, other] = [yield* candidate(databaseUrl), yield* candidate(databaseUrl)]
        yield* until(rolesOf(one, other), (held) => held.every((roles) => roles.length === 2))

        one.fault = "cut off"
        yield* until(rolesOf(one, other), ([mine]) => mine?.length === 0)
        const asked = other.asked
        other.fault = "cut off too"
        yield* until(
          Effect.sync(() => other.asked),
          (count) => count > asked + 2
        )
        assert.deepStrictEqual(
          (yield* rolesOf(one, other)).map((roles) => roles.length),
          [0, 4]
        )

        // The first can again, and the last is free to leave it all to it.
        one.fault = null
        yield* until(rolesOf(one, other), ([mine, theirs]) => mine?.length === 4 && theirs?.length === 0)
      })
    )
  )
})

interface Candidate {
  readonly held: Effect.Effect<ReadonlyArray<string>>
  fault: string | null
  /** So many answers to come are bad ones. */
  slowAnswers: number
  asked: number
}

/** A replica that offers itself for four lanes, and says why it cannot when it is told to. */
const candidate = Effect.fnUntraced(function* (databaseUrl: string) {
  const context = yield* Layer.build(TestNexus.on(ScriptedExchange([]), { databaseUrl, roles: [], env: usualLeases }))
  const ownership = Context.get(context, Ownership)
  const self: Candidate = {
    held: Effect.map(ownership.held, (leases) => leases.map(({ role }) => role)),
    fault: null,
    slowAnswers: 0,
    asked: 0
  }
  const unable = Effect.sync(() => {
    self.asked += 1
    if (self.slowAnswers === 0) return self.fault
    self.slowAnswers -= 1
    return "slow"
  })
  for (let lane = 0; lane < 4; lane++) yield* ownership.own(`relay/${lane}`, () => Effect.never, unable)
  return self
})

const rolesOf = (...candidates: ReadonlyArray<Candidate>) => Effect.all(candidates.map(({ held }) => held))
