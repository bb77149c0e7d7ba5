/**
 * A database that was set back to a backup, as a person meets it: nothing serves from it, `nexus recover` brings back
 * what Kafka and the exchange know, also when it is killed, and clients that send everything again get their orders.
 *
 * The backup is a copy of the database, taken while nothing runs; what comes after it is lost.
 */
import { Effect, Exit, Schedule, Scope } from "effect"
import { randomUUID } from "node:crypto"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, inject, it } from "vitest"
import { asAdministrator, databaseUrl, emptyDatabase } from "../harness/template.ts"
import { describeKafka, kafkaBrokers } from "../harness/kafka.ts"
import { prove, readAll } from "../kafka/foreignConsumer.ts"
import { ledger, startSimulator } from "./exchange.ts"
import { becomes, ends, market, type Order, place, post, resting, rests } from "./orders.ts"
import { type Environment, newFolder, Program, removeAll, root, run, serve, until } from "./Program.ts"

let scope: Scope.Closeable = Scope.makeUnsafe()
beforeEach(() => {
  scope = Scope.makeUnsafe()
})
afterEach(async () => {
  await removeAll()
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

const newDatabase = () => Effect.runPromise(Scope.provide(emptyDatabase(inject("pgUrl")), scope))
const nameOf = (url: string) => new URL(url).pathname.slice(1)

/** A copy of a database that nobody is connected to. */
const copyOf = (url: string): Promise<string> => {
  const name = `${nameOf(url)}_${randomUUID().slice(0, 8)}`
  return Effect.runPromise(
    Scope.provide(
      Effect.acquireRelease(
        Effect.as(
          asAdministrator(inject("pgUrl"), (sql) =>
            Effect.retry(sql.unsafe(`create database ${name} template ${nameOf(url)}`), { times: 50, schedule: pauses })
          ),
          databaseUrl(url, name)
        ),
        () => asAdministrator(inject("pgUrl"), (sql) => sql.unsafe(`drop database ${name} with (force)`))
      ),
      scope
    )
  )
}
const pauses = Schedule.spaced("100 millis")

const numberOf = (url: string, statement: string): Promise<number> =>
  Effect.runPromise(
    asAdministrator(url, (sql) => Effect.map(sql.unsafe(statement), ([row]) => Number(Object.values(row ?? {})[0])))
  )

/** All that was committed is on the topic. */
const relayed = (url: string) =>
  until("everything is in Kafka", async () => (await numberOf(url, "select count(*)::int4 from outbox")) === 0)

/** What a relay would do that knows nothing of a loss: the rest of each lane, as if it were new. */
const publishAll = async (env: Environment & { readonly DATABASE_URL: string }) => {
  const lanes = await Effect.runPromise(
    asAdministrator(env.DATABASE_URL, (sql) =>
      sql.unsafe<{ lane: number; sent: number; head: number }>(
        `select c.lane::int4, c.position::int4 as sent, max(b.last_position)::int4 as head
          from cursors c join batches b on b.lane = c.lane group by c.lane, c.position`
      )
    )
  )
  await Effect.runPromise(
    asAdministrator(env.DATABASE_URL, (sql) =>
      sql.unsafe(
        "update cursors set position = (select max(last_position) from batches where batches.lane = cursors.lane) where lane in (select lane from batches)"
      )
    )
  )
  for (const { head, lane, sent } of lanes.filter((one) => one.head > one.sent)) {
    const range = ["--lane", `${lane}`, "--from", `${sent + 1}`, "--to", `${head}`]
    const published = await run(["republish", ...range], newFolder(), env)
    assert.strictEqual(published.code, 0, published.err)
  }
}

/** A dozen starts of a whole program; a recovery waits 4 s for the exchange. */
const limitMs = 300_000

interface Sent {
  readonly body: Readonly<Record<string, unknown>> & { readonly id: string }
  readonly order: Order
}

const sendAll = async (url: string, prefix: string, count: number): Promise<Array<Sent>> => {
  const sent: Array<Sent> = []
  for (let n = 0; n < count; n++) {
    const body = { ...market, id: `${prefix}-${n}`, side: n % 2 === 0 ? "BUY" : "SELL" }
    await place(url, body)
    sent.push({ body, order: await ends(url, body.id) })
  }
  return sent
}

/** What a recovery waits for, with the margins. */
const quick = {
  NEXUS_HTTP_DRAIN_MS: "0",
  NEXUS_BINANCE_TESTNET_RECV_WINDOW_MS: "3000",
  NEXUS_BINANCE_DELTA_MS: "200",
  NEXUS_BINANCE_STALENESS_MS: "200"
}

const exchangeId = (order: Order) => Reflect.get(order, "exchange_order_id")

interface Report {
  readonly generation: number
  readonly wasRaised: boolean
  readonly events: number
  readonly lanes: ReadonlyArray<{ readonly head: number; readonly known: number; readonly broughtBackTo: number }>
  readonly orders: ReadonlyArray<{ readonly orderId: string; readonly isNew: boolean; readonly status: string }>
}

const recover = (env: Environment) => run(["recover", "--by", "ann", "--reason", "a test", "--json"], newFolder(), env)
const reportOf = ({ out }: Program) => JSON.parse(out) as Report

describeKafka("a database set back while Kafka and the exchange went on", () => {
  it(
    "is not served; recovered, also by a run that was killed, it answers every client's repetition with the order there was",
    async () => {
      const name = randomUUID().slice(0, 8)
      const simulator = await startSimulator(newFolder())
      const database = await newDatabase()
      const topic = `recover.${name}.events`
      const env = {
        ...simulator.env,
        DATABASE_URL: database,
        KAFKA_BROKERS: kafkaBrokers(),
        NEXUS_KAFKA_TOPICS_ORDERS: `recover.${name}.orders`,
        NEXUS_KAFKA_TOPICS_EVENTS: topic,
        NEXUS_KAFKA_CONSUMER_GROUP: `recover-${name}`,
        ...quick
      }
      const before = await serve(newFolder(), env)
      const kept = await sendAll(before.url, "kept", 4)
      await relayed(database)
      assert.strictEqual(await before.end("SIGTERM"), 0)
      const backup = { ...env, DATABASE_URL: await copyOf(database) }

      // Lost, and in Kafka: ended orders, one that rests, one that was cancelled.
      const after = await serve(newFolder(), env)
      const lost = await sendAll(after.url, "lost", 6)
      const rest = { ...(await resting(after.url)), id: "lost-resting" }
      await place(after.url, rest)
      lost.push({ body: rest, order: await rests(after.url, rest.id) })
      const gone = { ...(await resting(after.url)), id: "lost-cancelled" }
      await place(after.url, gone)
      await rests(after.url, gone.id)
      await fetch(`${after.url}/api/v1/orders/${gone.id}`, { method: "DELETE" })
      lost.push({ body: gone, order: await becomes(after.url, gone.id, ({ status }) => status === "CANCELLED") })
      await relayed(database)
      assert.strictEqual(await after.end("SIGTERM"), 0)
      // Lost, and only the exchange knows them: nobody relays.
      const silent = await serve(newFolder(), { ...env, NEXUS_APP_ROLES: "api,executor,reports,reconciler" })
      const unheard = await sendAll(silent.url, "unheard", 3)
      const unheardRest = { ...(await resting(silent.url)), id: "unheard-resting" }
      await place(silent.url, unheardRest)
      unheard.push({ body: unheardRest, order: await rests(silent.url, unheardRest.id) })
      await silent.end("SIGKILL")
      const books = await ledger(simulator.address)

      // Refused at the start, with what mends it.
      const refused = await run(["serve"], newFolder(), backup)
      assert.strictEqual(refused.code, 1)
      assert.match(
        refused.err.split("\n").at(-2) ?? "",
        /^nexus: Kafka has lane \d up to position \d+ of generation 1, and the log of this database ends at \d+.*nexus recover/
      )

      // Killed while it waits for the exchange, after what Kafka has came back.
      const killed = new Program(["recover", "--by", "ann", "--reason", "a test", "--json"], backup, newFolder())
      await until("it waits", () => killed.err.includes("waiting") || killed.code !== undefined)
      assert.isUndefined(killed.code, killed.err)
      await killed.end("SIGKILL")
      const between = await run(["serve"], newFolder(), backup)
      assert.strictEqual(between.code, 1)
      assert.include(between.err, "a recovery of this database was begun by ann (a test) and is not finished")

      const first = await recover(backup)
      assert.strictEqual(first.code, 0, first.err)
      const report = reportOf(first)
      assert.deepInclude(report, { generation: 2, wasRaised: true })
      assert.isTrue(
        report.lanes.every(({ broughtBackTo, known }) => broughtBackTo === known),
        first.out
      )
      assert.isTrue(report.lanes.some(({ head, known }) => known > head))
      const created = report.orders.filter(({ isNew }) => isNew).map(({ orderId }) => orderId)
      assert.deepStrictEqual(created.toSorted(), unheard.map(({ order }) => order.client_order_id).toSorted())

      const again = reportOf(await recover(backup))
      assert.deepInclude(again, { generation: 2, wasRaised: false, events: 0, orders: [] })

      // Everybody sends everything again.
      const restored = await serve(newFolder(), backup)
      for (const { body, order } of [...kept, ...lost, ...unheard]) {
        const repeated = await post(restored.url, body)
        assert.strictEqual(repeated.status, 200, JSON.stringify(repeated))
        assert.strictEqual(repeated.order.id, body.id)
        assert.strictEqual(exchangeId(repeated.order), exchangeId(order))
        assert.strictEqual(repeated.order.status, order.status)
        assert.deepStrictEqual(repeated.order.fills, order.fills)
      }
      // The imported answer to their own ids, and only to their own bodies.
      const other = await post(restored.url, { ...unheard[0]!.body, quantity: 0.002 })
      assert.strictEqual(other.status, 409)
      const seen = await (await fetch(`${restored.url}/api/v1/orders/unheard-0`)).json()
      assert.deepInclude(seen, { id: "unheard-0", status: "COMPLETED" })
      await fetch(`${restored.url}/api/v1/orders/unheard-resting`, { method: "DELETE" })
      await becomes(restored.url, "unheard-resting", ({ status }) => status === "CANCELLED")
      const fresh = await sendAll(restored.url, "fresh", 3)

      const now = await ledger(simulator.address)
      assert.strictEqual(now.length, books.length + fresh.length)
      assert.strictEqual(new Set(now.map(({ clientOrderId }) => clientOrderId)).size, now.length)
      await relayed(backup.DATABASE_URL)
      assert.strictEqual(await restored.end("SIGTERM"), 0)
      const verified = await run(["verify"], newFolder(), backup)
      assert.strictEqual(verified.code, 0, verified.out)

      // A reader with no code of ours: nothing is missing, and the recovery itself is told.
      const messages = await readAll(kafkaBrokers(), topic)
      const proof = prove(join(root, "docs/events"), messages)
      assert.deepStrictEqual([proof.missing, proof.wrong, proof.voided], [[], [], []])
      const raised = messages.find(({ headers }) => headers["ce_type"] === "nexus.GenerationRaised")
      assert.deepInclude(JSON.parse(raised?.value ?? "{}"), { generation: 2, by: "ann", reason: "a test" })
      const committed = await numberOf(backup.DATABASE_URL, "select count(*)::int4 from events")
      const distinct = new Set(
        messages.map(({ headers }) => `${headers["ce_generation"]}/${headers["ce_lane"]}/${headers["ce_position"]}`)
      )
      assert.strictEqual(distinct.size, committed)
    },
    limitMs
  )

  it.each([
    { title: "publishes nothing, is refused once Kafka is back, and begins anew behind what readers know", alone: 4 },
    { title: "is refused also when more was published since than was lost, and sends that anew", alone: 12 }
  ])(
    "served alone all the same while Kafka was away, $title",
    async ({ alone: count }) => {
      const name = randomUUID().slice(0, 8)
      const simulator = await startSimulator(newFolder())
      const database = await newDatabase()
      const topic = `recover.${name}.events`
      const env = {
        ...simulator.env,
        ...quick,
        DATABASE_URL: database,
        KAFKA_BROKERS: kafkaBrokers(),
        NEXUS_KAFKA_TOPICS_ORDERS: `recover.${name}.orders`,
        NEXUS_KAFKA_TOPICS_EVENTS: topic,
        NEXUS_KAFKA_CONSUMER_GROUP: `recover-${name}`
      }
      const before = await serve(newFolder(), env)
      await sendAll(before.url, "kept", 3)
      await relayed(database)
      assert.strictEqual(await before.end("SIGTERM"), 0)
      const backup = { ...env, DATABASE_URL: await copyOf(database) }
      const after = await serve(newFolder(), env)
      const lost = await sendAll(after.url, "lost", 4)
      await relayed(database)
      assert.strictEqual(await after.end("SIGTERM"), 0)

      const alone = await serve(newFolder(), { ...backup, KAFKA_BROKERS: "127.0.0.1:1" })
      const unseen = await sendAll(alone.url, "alone", count)
      assert.strictEqual(await alone.end("SIGTERM"), 0)
      if (count > lost.length) await publishAll(backup)
      const refused = await run(["serve"], newFolder(), backup)
      assert.strictEqual(refused.code, 1, refused.out)
      assert.include(refused.err, 'run "nexus recover"')
      const recovered = await recover(backup)
      assert.strictEqual(recovered.code, 0, recovered.err)
      assert.deepInclude(reportOf(recovered), { generation: 2, wasRaised: true })

      const restored = await serve(newFolder(), backup)
      for (const { body, order } of [...lost, ...unseen]) {
        const repeated = await post(restored.url, body)
        assert.strictEqual(repeated.status, 200, JSON.stringify(repeated))
        assert.strictEqual(exchangeId(repeated.order), exchangeId(order))
      }
      await relayed(backup.DATABASE_URL)
      assert.strictEqual(await restored.end("SIGTERM"), 0)

      assert.lengthOf(await ledger(simulator.address), 3 + lost.length + unseen.length)
      const verified = await run(["verify"], newFolder(), backup)
      assert.strictEqual(verified.code, 0, verified.out)
      const messages = await readAll(kafkaBrokers(), topic)
      const proof = prove(join(root, "docs/events"), messages)
      // What went out twice under the old generation, and not as the same event, is void.
      const voided = new Set(proof.voided)
      const wrong = proof.wrong.filter((one) => !voided.has(one.replace(": came again with another body", "")))
      assert.deepStrictEqual([proof.missing, wrong], [[], []])
      assert.isNotEmpty(proof.voided)
      const ids = new Set(messages.map(({ headers }) => headers["ce_id"]))
      const committed = await Effect.runPromise(
        asAdministrator(backup.DATABASE_URL, (sql) => sql.unsafe<{ id: string }>("select event_id as id from events"))
      )
      assert.deepStrictEqual(
        committed.filter(({ id }) => !ids.has(id)),
        []
      )
    },
    limitMs
  )
})

describe("a database set back where no Kafka has seen it", () => {
  it(
    "is betrayed by the anchor, and not recovered while something lives on it",
    async () => {
      const simulator = await startSimulator(newFolder())
      const folder = newFolder()
      const database = await newDatabase()
      const env = {
        ...simulator.env,
        DATABASE_URL: database,
        NEXUS_HTTP_DRAIN_MS: "0",
        NEXUS_AUDIT_ANCHOR_FILE: join(folder, "anchor.json"),
        NEXUS_AUDIT_ANCHOR_INTERVAL_MS: "100"
      }
      const before = await serve(newFolder(), env)
      await sendAll(before.url, "kept", 2)
      assert.strictEqual(await before.end("SIGTERM"), 0)
      const backup = { ...env, DATABASE_URL: await copyOf(database) }
      const after = await serve(newFolder(), env)
      const lost = await sendAll(after.url, "lost", 3)
      const heads = await numberOf(
        database,
        "select sum(last)::int4 from (select max(last_position) as last from batches group by lane)"
      )
      await until("the anchor knows them", async () => {
        const { heads: anchored } = JSON.parse(await readFile(env.NEXUS_AUDIT_ANCHOR_FILE, "utf8"))
        return anchored.reduce((sum: number, { position }: { position: number }) => sum + position, 0) >= heads
      })
      const early = await recover(env)
      assert.strictEqual(early.code, 1)
      assert.match(early.err, /nexus: replica \S+ lives on this database: stop every process first/)
      await after.end("SIGKILL")

      const refused = await run(["serve"], newFolder(), backup)
      assert.strictEqual(refused.code, 1)
      assert.match(
        refused.err,
        /nexus: the anchor \S+anchor\.json has lane \d up to position \d+ .* run "nexus recover"/
      )

      const recovered = await run(["recover", "--by", "ann", "--reason", "a test"], newFolder(), backup)
      assert.strictEqual(recovered.code, 0, recovered.err)
      assert.include(recovered.out, "the store is of generation 2 now")
      for (const { order } of lost) assert.include(recovered.out, order.client_order_id)
      const restored = await serve(newFolder(), backup)
      for (const { body, order } of lost) {
        const repeated = await post(restored.url, body)
        assert.deepInclude(repeated, { status: 200 })
        assert.strictEqual(exchangeId(repeated.order), exchangeId(order))
      }
      assert.lengthOf(await ledger(simulator.address), 5)
      const verified = await run(["verify"], newFolder(), backup)
      assert.strictEqual(verified.code, 0, verified.out)
    },
    limitMs
  )
})
