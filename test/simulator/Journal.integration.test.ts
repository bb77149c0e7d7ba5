import { spawn } from "node:child_process"
import { once } from "node:events"
import fs from "node:fs"
import path from "node:path"
import { createInterface } from "node:readline"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { limit, market, signed, startSimulator } from "./client.ts"
import { folder, processesMillis, type Running, spawned } from "./spawned.ts"

const place = "POST /api/v3/order"

/** What a client can see of the whole account. */
const seen = Effect.fnUntraced(function* (running: Pick<Running, "port">) {
  const get = (request: string) =>
    Effect.map(signed(running, `GET /api/v3/${request}`, { symbol: "BTCUSDT", limit: 1_000 }), ({ json }) => json)
  const { balances, uid } = (yield* signed(running, "GET /api/v3/account")).json
  return { orders: yield* get("allOrders"), trades: yield* get("myTrades"), balances, uid }
})

const problemOf = (journal: string, options: { readonly port?: number } = {}) =>
  Effect.scoped(startSimulator({ journal, ...options })).pipe(
    Effect.flip,
    Effect.map((error) => error.message)
  )

/** A process that has ended and that its parent never collects, as `pid start` of a lock: common in containers. */
const uncollected = Effect.acquireRelease(
  Effect.promise(async () => {
    const parent = spawn("sh", ["-c", "sleep 0.3 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "inherit"] })
    const [pid] = await once(createInterface({ input: parent.stdout }), "line")
    const stat = () => fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
    while (stat()[0] !== "Z") await new Promise((resolve) => setTimeout(resolve, 10))
    return { parent, lock: `${pid} ${stat()[19]}` }
  }),
  ({ parent }) => Effect.sync(() => parent.kill("SIGKILL"))
)

describe("the journal", () => {
  it.live(
    "after kill -9 under load every answered order is there, with its trades and balances",
    () =>
      Effect.gen(function* () {
        const journal = yield* folder
        const first = yield* spawned(journal)
        const answered: Array<{ orderId: number; clientOrderId: string; status: string; executedQty: string }> = []
        let isOver = false
        const one = (client: number) =>
          Effect.gen(function* () {
            for (let n = 0; n < 100_000 && !isOver; n++) {
              const id = { newClientOrderId: `${client}-${n}` }
              const params = n % 3 === 0 ? limit("60000", "0.001", id) : market("0.001", id)
              const answer = yield* signed(first, place, params)
              answered.push(answer.json)
              if (answered.length === 150) {
                isOver = true
                yield* Effect.promise(first.kill)
              }
            }
          }).pipe(Effect.ignore)

        yield* Effect.forEach([1, 2, 3, 4], one, { concurrency: "unbounded" })
        const second = yield* spawned(journal)
        const after = yield* seen(second)
        yield* Effect.promise(second.kill)
        const again = yield* Effect.flatMap(spawned(journal), seen)

        const byId = new Map(after.orders.map((order: { orderId: number }) => [order.orderId, order]))
        assert.isAtLeast(answered.length, 150)
        for (const { clientOrderId, executedQty, orderId, status } of answered) {
          assert.deepInclude(byId.get(orderId), { clientOrderId, executedQty, status })
        }
        assert.strictEqual(second.accountUid, first.accountUid)
        // Nothing moved between the two restarts but the market, which met none of the account's orders.
        assert.deepStrictEqual(again, after)
        const next = yield* signed(second, place, market("0.001")).pipe(Effect.exit)
        assert.isTrue(Exit.isFailure(next))
      }),
    processesMillis
  )

  it.live("ids go on after a restart, and resting orders can be cancelled and filled", () =>
    Effect.gen(function* () {
      const journal = yield* folder
      const scope = yield* Scope.make()
      const before = yield* Scope.provide(startSimulator({ journal }), scope)
      const conserved = before.conservation()
      yield* signed(before, place, limit("60000", "0.01", { newClientOrderId: "keep" }))
      const { json: filled } = yield* signed(before, place, market("0.01"))
      yield* signed(before, place, limit("64000", "0.01", { newClientOrderId: "fill" }))
      yield* Scope.close(scope, Exit.void)

      const after = yield* startSimulator({ journal })
      const { json: next } = yield* signed(after, place, market("0.01"))
      after.moveMarket("BTCUSDT", "63000")
      const canceled = yield* signed(after, "DELETE /api/v3/order", { symbol: "BTCUSDT", origClientOrderId: "keep" })

      assert.strictEqual(next.orderId, 4)
      assert.isAbove(next.fills[0].tradeId, filled.fills.at(-1).tradeId)
      assert.strictEqual(canceled.json.status, "CANCELED")
      assert.strictEqual(after.ledger().find(({ clientOrderId }) => clientOrderId === "fill")?.status, "FILLED")
      assert.deepStrictEqual(after.conservation(), conserved)
    })
  )

  it.live("a last line that a kill tore is dropped, a damaged one in the middle is told", () =>
    Effect.gen(function* () {
      const journal = yield* folder
      const file = path.join(journal, "journal.ndjson")
      const scope = yield* Scope.make()
      const before = yield* Scope.provide(startSimulator({ journal }), scope)
      yield* signed(before, place, limit("60000", "0.01"))
      yield* Scope.close(scope, Exit.void)
      fs.appendFileSync(file, '{"orders":[[0,["2|BTCUSDT')

      const orders = yield* Effect.scoped(Effect.map(startSimulator({ journal }), ({ ledger }) => ledger().length))
      fs.writeFileSync(file, fs.readFileSync(file, "utf8").replace('{"orders"', '{"orders'))
      const problem = yield* problemOf(journal)

      assert.strictEqual(orders, 1)
      assert.match(problem, /is damaged at line \d+/)
    })
  )

  it.live(
    "a journal in use is refused, that of a dead process is taken over",
    () =>
      Effect.gen(function* () {
        const journal = yield* folder
        const child = yield* spawned(journal)

        const inUse = yield* problemOf(journal)
        yield* Effect.promise(child.kill)
        const lockOfTheDead = fs.existsSync(path.join(journal, "lock"))
        const takenOver = yield* startSimulator({ journal })

        assert.include(inUse, "is in use by process")
        assert.isTrue(lockOfTheDead)
        assert.strictEqual(takenOver.accountUid, child.accountUid)
        assert.include(yield* problemOf(journal), `is in use by process ${process.pid}`)
      }),
    processesMillis
  )

  it.live("a journal of a killed process that nobody has collected yet is taken over", () =>
    Effect.gen(function* () {
      const journal = yield* folder
      const { lock } = yield* uncollected
      fs.writeFileSync(path.join(journal, "lock"), `${lock}\n`)

      yield* startSimulator({ journal })

      assert.match(fs.readFileSync(path.join(journal, "lock"), "utf8"), new RegExp(`^${process.pid} `))
    })
  )

  it.live("a file of somebody else, a folder out of reach and a port in use are one sentence each", () =>
    Effect.gen(function* () {
      const journal = yield* folder
      fs.writeFileSync(path.join(journal, "journal.ndjson"), '{"some":"thing"}\n')
      const notAFolder = path.join(journal, "file")
      fs.writeFileSync(notAFolder, "")
      const other = yield* startSimulator()

      const problems = [
        yield* problemOf(journal),
        yield* problemOf(notAFolder),
        yield* problemOf(yield* folder, { port: other.port })
      ]

      assert.include(problems[0], "is not a journal of the simulator")
      assert.include(problems[1], "cannot be used")
      assert.include(problems[2], `Port ${other.port} on 127.0.0.1 is in use`)
      for (const problem of problems) assert.match(problem, /^[^\n]+\.$/)
      // A start that failed lets go of what it held.
      assert.isFalse(fs.existsSync(path.join(journal, "lock")))
    })
  )

  it.live("a reset outlives a restart", () =>
    Effect.gen(function* () {
      const journal = yield* folder
      const scope = yield* Scope.make()
      const before = yield* Scope.provide(startSimulator({ journal }), scope)
      yield* signed(before, place, market("0.01"))
      before.faults.reset()
      yield* Scope.close(scope, Exit.void)

      const after = yield* startSimulator({ journal })
      const state = yield* seen(after)

      assert.deepStrictEqual([state.orders, state.trades], [[], []])
      assert.deepInclude(state.balances[0], { asset: "USDT", free: "1000000.00000000" })
    })
  )
})
