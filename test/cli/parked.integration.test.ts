/** An operator and the orders that wait for one: listed, looked at, taken up again, left out; each act under a name. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { afterEach } from "vitest"
import { OrderId } from "../../src/domain/Ids.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { EventStore } from "../../src/sql/EventStore.ts"
import { Parked } from "../../src/sql/Parked.ts"
import { market, ScriptedExchange, TestNexus } from "../layers.ts"
import { newFolder, removeAll, run } from "./Program.ts"

afterEach(removeAll)

const word = ["--by", "ann", "--reason", "read it, ticket 7"]

const park = Effect.fnUntraced(function* (id: string) {
  yield* (yield* TestNexus).place(id, market("BUY", "0.01"))
  const at = Date.now()
  yield* (yield* Engine).tell(OrderId.make(id), { _tag: "ParkOrder", at, reason: "a bug", record: `record of ${id}` })
})

it.live(
  "nexus parked lists orders with reason and record, and each act on one is in the log under a name, once",
  () =>
    Effect.gen(function* () {
      const { databaseUrl, events, order } = yield* TestNexus
      const folder = newFolder()
      const nexus = (...args: ReadonlyArray<string>) =>
        Effect.promise(() => run(["parked", ...args], folder, { DATABASE_URL: databaseUrl }))
      for (const id of ["again", "away"]) yield* park(id)
      yield* (yield* TestNexus).place("sound", market("BUY", "0.01"))
      const lane = 1
      yield* (yield* Parked).insert({
        consumer: "relay/events",
        lane,
        position: 7,
        streamId: "again",
        reason: "too large",
        record: "{}"
      })

      const [list, behind, show, nobody] = yield* Effect.all(
        [nexus("list"), nexus("list", "--after", "again"), nexus("show", "again"), nexus("retry", "sound", ...word)],
        { concurrency: 2 }
      )
      const retried = yield* nexus("retry", "again", ...word)
      const twice = yield* nexus("retry", "again", ...word)
      const skipped = yield* nexus("skip", "away", ...word)
      const none = yield* nexus("list")

      assert.deepStrictEqual([list.code, list.err], [0, ""])
      assert.match(list.out, /^order +symbol +status +parked +reason\nagain +BTCUSDT +PENDING +2.+Z +a bug\naway .+\n$/)
      assert.notMatch(behind.out, /^again/m)
      assert.match(
        show.out,
        /^order again \(BTCUSDT, PENDING\) is parked since .+\n +because a bug\n.+: record of again\n/
      )
      assert.include(show.out, "relay/events could not send position 7 of lane 1: too large")
      assert.deepStrictEqual([nobody.code, nobody.err], [1, "nexus: no order sound is parked\n"])
      assert.deepStrictEqual([retried.code, retried.err], [0, ""])
      assert.match(retried.out, /^order again is not parked any more, by decision of ann; it is PENDING\n/)
      assert.include(retried.out, "nexus republish --lane 1 --from 7 --to 7")
      assert.deepStrictEqual([twice.code, twice.err], [1, "nexus: no order again is parked\n"])
      assert.match(skipped.out, /^order away is not parked any more, by decision of ann; it is FAILED\n/)
      assert.strictEqual(none.out, "no order is parked\n")

      const told = { by: "ann", reason: "read it, ticket 7" }
      assert.deepStrictEqual((yield* events("again")).slice(2), [{ _tag: "OrderUnparked", act: "retry", ...told }])
      assert.deepStrictEqual((yield* events("away")).slice(2), [
        { _tag: "OrderUnparked", act: "skip", ...told },
        { _tag: "OperatorResolved", as: "FAILED", ...told }
      ])
      assert.strictEqual((yield* (yield* EventStore).load("away")).events.at(-1)?.actor, "operator")
      assert.isFalse((yield* order("again")).parked)
    }).pipe(Effect.provide(TestNexus.on(ScriptedExchange([]), { roles: [] }))),
  120_000
)

it.each([
  ["parked retry without a name", ["parked", "retry", "order-1", "--reason", "because"], /by/],
  ["parked skip without a reason", ["parked", "skip", "order-1", "--by", "ann"], /reason/],
  ["republish of position 0", ["republish", "--lane", "0", "--from", "0", "--to", "1"], /from/],
  ["republish without a Kafka", ["republish", "--lane", "0", "--from", "1", "--to", "1"], /no Kafka is configured/]
])("%s is refused in a sentence", async (_, args, says) => {
  const { code, err, out } = await run(args, newFolder())

  assert.strictEqual(code, 1)
  assert.match(out + err, says)
})
