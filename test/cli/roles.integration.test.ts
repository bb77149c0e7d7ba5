/** One program split over processes: they share one PostgreSQL, one Kafka and one exchange, and trade as one. */
import { Effect, Exit, Scope } from "effect"
import { randomUUID } from "node:crypto"
import { afterEach, assert, beforeEach, inject, it } from "vitest"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"
import { asAdministrator, emptyDatabase } from "../harness/template.ts"
import { ledger, startSimulator } from "./exchange.ts"
import { ends, place } from "./orders.ts"
import { newFolder, removeAll, run, serve, until } from "./Program.ts"

let scope: Scope.Closeable = Scope.makeUnsafe()
beforeEach(() => {
  scope = Scope.makeUnsafe()
})
afterEach(async () => {
  await removeAll()
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

/** Everything but where to listen and what to do. */
const shared = async () => {
  const name = randomUUID().slice(0, 8)
  const simulator = await startSimulator(newFolder())
  return {
    simulator,
    env: {
      ...simulator.env,
      DATABASE_URL: await Effect.runPromise(Scope.provide(emptyDatabase(inject("pgUrl")), scope)),
      KAFKA_BROKERS: kafkaBrokers(),
      NEXUS_KAFKA_TOPICS_ORDERS: `roles.${name}.orders`,
      NEXUS_KAFKA_TOPICS_EVENTS: `roles.${name}.events`,
      NEXUS_KAFKA_CONSUMER_GROUP: `roles-${name}`,
      NEXUS_HTTP_DRAIN_MS: "0"
    }
  }
}

const api = { NEXUS_APP_ROLES: "api" }
const working = { NEXUS_APP_ROLES: "relay,executor,reports,reconciler" }

describeKafka("an api process and a process of the other roles", () => {
  it("started at once on an empty database end each other's orders, also when the worker is killed and replaced", async () => {
    const { env, simulator } = await shared()
    const [front, worker] = await Promise.all([
      serve(newFolder(), { ...env, ...api }),
      serve(newFolder(), { ...env, ...working })
    ])
    assert.match(front.out, /roles +api\n/)
    assert.match(worker.out, /roles +relay, executor, reports, reconciler\n/)
    assert.match(worker.out, /bus +Kafka at /)
    assert.strictEqual(worker.url, "")
    const first = await Promise.all(Array.from({ length: 20 }, () => place(front.url)))
    for (const { id } of first) assert.strictEqual((await ends(front.url, id)).status, "COMPLETED")

    const second = await Promise.all(Array.from({ length: 20 }, () => place(front.url)))
    await worker.end("SIGKILL")
    const third = await Promise.all(Array.from({ length: 20 }, () => place(front.url)))
    const replacement = await serve(newFolder(), { ...env, ...working })

    for (const { id } of [...second, ...third]) {
      assert.strictEqual((await ends(front.url, id)).status, "COMPLETED")
    }
    const executed = (await ledger(simulator.address)).map(({ clientOrderId }) => clientOrderId)
    const ours = [...first, ...second, ...third].map((order) => order.client_order_id)
    assert.deepStrictEqual(executed.toSorted(), ours.toSorted())
    assert.deepStrictEqual([await front.end("SIGTERM"), await replacement.end("SIGTERM")], [0, 0])
    const verified = await run(["verify"], newFolder(), env)
    assert.strictEqual(verified.code, 0, verified.out)
  })

  it("of which the api alone is ready and takes orders while no Kafka answers", async () => {
    const { env } = await shared()

    const front = await serve(newFolder(), { ...env, ...api, KAFKA_BROKERS: "127.0.0.1:1" })

    assert.strictEqual((await fetch(`${front.url}/ready`)).status, 200)
    assert.strictEqual((await place(front.url)).status, "PENDING")
  })
})

describeKafka("an api process, a relay and two executors", () => {
  it("own only what they run, and go on with each other's orders when an executor is killed", async () => {
    const { env, simulator } = await shared()
    const executing = { NEXUS_APP_ROLES: "executor,reports,reconciler" }
    const [front, relay, one, other] = await Promise.all([
      serve(newFolder(), { ...env, ...api }),
      serve(newFolder(), { ...env, NEXUS_APP_ROLES: "relay" }),
      serve(newFolder(), { ...env, ...executing }),
      serve(newFolder(), { ...env, ...executing })
    ])
    const owners = () =>
      Effect.runPromise(
        asAdministrator(env.DATABASE_URL, (sql) =>
          sql.unsafe<{ readonly role: string; readonly roles: ReadonlyArray<string> }>(
            `select l.role, r.roles from leases l join replicas r on r.id = l.owner
               where l.expires_at > clock_timestamp() order by l.role`
          )
        )
      )
    await until("everything has an owner", async () => (await owners()).length === 6)
    for (const { role, roles } of await owners()) {
      const wanted = role.startsWith("relay/") ? "relay" : role === "user-stream" ? "reports" : role
      assert.include(roles, wanted)
      assert.notInclude(roles, role.startsWith("relay/") ? "executor" : "api")
    }
    const first = await Promise.all(Array.from({ length: 20 }, () => place(front.url)))
    for (const { id } of first) assert.strictEqual((await ends(front.url, id)).status, "COMPLETED")

    const second = await Promise.all(Array.from({ length: 20 }, () => place(front.url)))
    await one.end("SIGKILL")
    for (const { id } of second) assert.strictEqual((await ends(front.url, id)).status, "COMPLETED")

    const executed = (await ledger(simulator.address)).map(({ clientOrderId }) => clientOrderId)
    const ours = [...first, ...second].map((order) => order.client_order_id)
    assert.deepStrictEqual(executed.toSorted(), ours.toSorted())
    const codes = await Promise.all([front, relay, other].map((each) => each.end("SIGTERM")))
    assert.deepStrictEqual(codes, [0, 0, 0])
  })
})

describeKafka("a program with a real Kafka alone", () => {
  it("carries an order over it, on its own PostgreSQL and exchange", async () => {
    const name = randomUUID().slice(0, 8)

    const { out, url } = await serve(newFolder(), {
      KAFKA_BROKERS: kafkaBrokers(),
      NEXUS_KAFKA_TOPICS_ORDERS: `alone.${name}.orders`,
      NEXUS_KAFKA_TOPICS_EVENTS: `alone.${name}.events`,
      NEXUS_KAFKA_CONSUMER_GROUP: `alone-${name}`
    })

    assert.match(out, /PostgreSQL +embedded/)
    assert.match(out, /exchange +SIMULATOR \(embedded\)/)
    assert.include(out, `Kafka at ${kafkaBrokers()}`)
    assert.strictEqual((await ends(url, (await place(url)).id)).status, "COMPLETED")
  })
})
