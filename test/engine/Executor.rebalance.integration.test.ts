/**
 * Executors that share a real Kafka, while lanes move between them: what is in flight at a revoke ends where it began,
 * and an order whose message was handled by a process that died is found in the log by another (INV-3, INV-13).
 */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { randomUUID } from "node:crypto"
import { afterEach, inject, vi } from "vitest"
import { Cut } from "../../tools/proofs/replicas/Cut.ts"
import { ledger, startSimulator } from "../cli/exchange.ts"
import { ends as endsAt, place as placeAt } from "../cli/orders.ts"
import { newFolder, removeAll, serve, until as untilTrue } from "../cli/Program.ts"
import { makeExchange, onLedger, wholeOn } from "../degradation/Whole.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"
import { emptyDatabase, freshDatabase } from "../harness/template.ts"
import { plainKafka } from "../kafka/kafkaForTests.ts"
import { market, TestNexus } from "../layers.ts"
import { hasEnded } from "./scripted.ts"

// Groups are joined anew, and programs started, on a machine that other tests keep busy.
vi.setConfig({ testTimeout: 120_000 })
afterEach(removeAll)

const names = () => {
  const name = randomUUID().slice(0, 8)
  return {
    NEXUS_KAFKA_TOPICS_ORDERS: `rebalance.${name}.orders`,
    NEXUS_KAFKA_TOPICS_EVENTS: `rebalance.${name}.events`,
    NEXUS_KAFKA_CONSUMER_GROUP: `rebalance-${name}`
  }
}

/** Asks Kafka itself about a group, until it is as said. */
const untilGroup = async (
  group: string,
  isIt: (admin: ReturnType<ReturnType<typeof plainKafka>["admin"]>) => Promise<boolean>
): Promise<void> => {
  const admin = plainKafka(kafkaBrokers()).admin()
  await admin.connect()
  try {
    await untilTrue(`group ${group}`, () => isIt(admin), 60_000)
  } finally {
    await admin.disconnect()
  }
}

const hasMembers = (group: string, count: number) =>
  Effect.promise(() =>
    untilGroup(group, async (admin) => {
      const [found] = (await admin.describeGroups([group])).groups
      return found?.state === "Stable" && found.members.length === count
    })
  )

const crowd = 24
const heldMillis = 2_000

describeKafka("work in flight at a revoke", () => {
  it.live("ends where it began, whether an executor comes or goes, and each order is sent once", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const exchange = yield* makeExchange
        yield* exchange.control("POST", "/faults", {
          on: "POST /api/v3/order",
          kind: "answerLate",
          millis: heldMillis,
          times: "always"
        })
        const databaseUrl = yield* freshDatabase(inject("pgUrl"))
        const env = { ...names(), KAFKA_BROKERS: kafkaBrokers() }
        const group = env.NEXUS_KAFKA_CONSUMER_GROUP
        const stays = Context.get(yield* Layer.build(wholeOn(exchange, { databaseUrl, env })), TestNexus)
        const ids: Array<string> = []
        const placeSome = (prefix: string) =>
          Effect.forEach(
            Array.from({ length: crowd }, (_, index) => `${prefix}-${index}`),
            (id) =>
              Effect.andThen(
                stays.place(id, market("BUY", "0.001")),
                Effect.sync(() => ids.push(id))
              ),
            { concurrency: "unbounded", discard: true }
          )
        const inFlight = (prefix: string) => stays.until(`${prefix}-0`, ({ attempt }) => attempt !== null)
        yield* hasMembers(group, 1)

        yield* placeSome("before")
        yield* inFlight("before")
        const scope = yield* Scope.make()
        yield* Layer.build(wholeOn(exchange, { databaseUrl, env })).pipe(Scope.provide(scope))
        yield* hasMembers(group, 2)
        yield* placeSome("shared")
        yield* inFlight("shared")
        yield* Scope.close(scope, Exit.void)
        yield* hasMembers(group, 1)
        yield* placeSome("after")

        for (const id of ids) {
          const order = yield* stays.until(id, hasEnded)
          assert.strictEqual(order.status, "COMPLETED", id)
          assert.strictEqual(onLedger(exchange, order.clientOrderId), 1, id)
        }
        assert.deepStrictEqual((yield* stays.verify).findings, [])
      })
    )
  )
})

describeKafka("an order whose message was handled by a process that died", () => {
  it("is found in the log by another, and is sent once", async () => {
    const scope = Scope.makeUnsafe()
    const simulator = await startSimulator(newFolder())
    const { hostname, port } = new URL(simulator.address)
    const network = await Cut.open({ host: hostname, port: Number(port) })
    try {
      const env = {
        ...simulator.env,
        ...names(),
        KAFKA_BROKERS: kafkaBrokers(),
        DATABASE_URL: await Effect.runPromise(Scope.provide(emptyDatabase(inject("pgUrl")), scope)),
        NEXUS_HTTP_DRAIN_MS: "0"
      }
      const group = env.NEXUS_KAFKA_CONSUMER_GROUP
      const front = await serve(newFolder(), { ...env, NEXUS_APP_ROLES: "api,relay,reports,reconciler" })
      const dies = await serve(newFolder(), {
        ...env,
        NEXUS_APP_ROLES: "api,executor",
        NEXUS_BINANCE_TESTNET_BASE_URL: `http://127.0.0.1:${network.port}`
      })
      await endsAt(front.url, (await placeAt(front.url)).id)
      network.cut("refusing")

      const placed = await Promise.all(Array.from({ length: crowd }, () => placeAt(front.url)))
      // Every message is handled: what comes now comes from the log.
      await untilGroup(group, async (admin) => {
        const [topic] = await admin.fetchOffsets({ groupId: group, topics: [env.NEXUS_KAFKA_TOPICS_ORDERS] })
        const heads = await admin.fetchTopicOffsets(env.NEXUS_KAFKA_TOPICS_ORDERS)
        const handled = topic!.partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0)
        const sent = heads.reduce((sum, { high }) => sum + Number(high), 0)
        return sent === crowd + 1 && handled === sent
      })
      await dies.end("SIGKILL")
      const finds = await serve(newFolder(), { ...env, NEXUS_APP_ROLES: "api,executor" })

      for (const { id } of placed) assert.strictEqual((await endsAt(front.url, id)).status, "COMPLETED")
      const metrics = await (await fetch(`${finds.url}/metrics`)).text()
      assert.isAtLeast(Number(/^nexus_executor_due_scan_hits_total (\d+)$/m.exec(metrics)?.[1]), crowd)
      const sent = (await ledger(simulator.address)).map(({ clientOrderId }) => clientOrderId)
      for (const order of placed) {
        assert.strictEqual(sent.filter((one) => one === order.client_order_id).length, 1)
      }
    } finally {
      network.close()
      await removeAll()
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  })
})
