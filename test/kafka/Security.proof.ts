/**
 * Against a broker that demands TLS and a user: who is right goes through, and whoever is not is told in one sentence
 * what to mend, while the bus waits for it to be mended.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Logger, Redacted, Scope } from "effect"
import { readFileSync } from "node:fs"
import { setTimeout as pause } from "node:timers/promises"
import { inspect } from "node:util"
import { Kafka, logLevel, type SASLOptions } from "kafkajs"
import { afterAll, afterEach, beforeAll, inject, vi } from "vitest"
import type { KafkaBusOptions } from "../../src/kafka/KafkaBus.ts"
import { readSecurity, type SecurityOptions } from "../../src/kafka/Security.ts"
import { checkTopics } from "../../src/kafka/Topics.ts"
import type { ClientCertificate } from "../../tools/kafka/certificates.ts"
import type { SecureBroker } from "../../tools/kafka/SecureBroker.ts"
import { ends, place } from "../cli/orders.ts"
import { type Environment, newFolder, removeAll, run, serve } from "../cli/Program.ts"
import { emptyDatabase } from "../harness/template.ts"
import { until as eventually } from "../sql/until.ts"
import { batchOf, collect, publishUntilTaken, values } from "./EventBus.contract.ts"
import { freshOptions, plainKafka, withBus } from "./kafkaForTests.ts"
import { describeSecure, rightEnv, start } from "./secureBroker.ts"
import { until } from "./until.ts"

// A virtual machine and several programs, on cores that others use too.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

describeSecure("a broker that demands TLS and a user", () => {
  let broker: SecureBroker
  beforeAll(async () => {
    broker = await start()
  })
  afterAll(async () => {
    // Undefined when it did not start.
    await (broker as SecureBroker | undefined)?.stop()
  })
  afterEach(removeAll)

  type Change = {
    readonly [K in keyof SecurityOptions]?: K extends "tls" ? Partial<SecurityOptions["tls"]> : SecurityOptions[K]
  }

  const right = (change: Change = {}): SecurityOptions => ({
    sasl_mechanism: "SCRAM-SHA-512",
    username: broker.user,
    password: Redacted.make(broker.password),
    ...change,
    tls: {
      enabled: true,
      ca_file: broker.certificates.ca,
      cert_file: "",
      key_file: "",
      verify_server_name: true,
      ...change.tls
    }
  })
  const plainTls = { enabled: false, ca_file: "" }
  const ownCertificate = () => ({
    cert_file: broker.certificates.client.cert,
    key_file: broker.certificates.client.key
  })

  const optionsFor = Effect.fnUntraced(function* (brokers: string, options: SecurityOptions) {
    return { ...freshOptions(brokers), security: yield* readSecurity(options) }
  })

  const ways: ReadonlyArray<readonly [name: string, where: () => string, change: () => Change]> = [
    ["SCRAM-SHA-512 over TLS", () => broker.saslSsl, () => ({})],
    ["SCRAM-SHA-256 over TLS", () => broker.saslSsl, () => ({ sasl_mechanism: "SCRAM-SHA-256" })],
    ["SCRAM-SHA-512 in the clear", () => broker.saslPlain, () => ({ tls: plainTls })],
    ["a certificate of its own", () => broker.ssl, () => ({ sasl_mechanism: "none", tls: ownCertificate() })]
  ]
  it.live.each(ways)("what is published with %s arrives", ([, where, change]) =>
    Effect.gen(function* () {
      const options = yield* optionsFor(where(), right(change()))
      yield* withBus(options, (bus) =>
        Effect.gen(function* () {
          yield* publishUntilTaken(bus, "orders", 0, batchOf("o", "1", "2"))
          const { got } = yield* collect(bus, { group: `g-${options.topics.orders}` })
          yield* until("both arrive", () => got.length === 2)

          assert.deepStrictEqual(values(got), ["1", "2"])
          assert.isNull(yield* bus.health)
        })
      )
    })
  )

  const wrong: ReadonlyArray<readonly [name: string, where: () => string, change: () => Change, sentence: RegExp]> = [
    [
      "a wrong password",
      () => broker.saslSsl,
      () => ({ password: Redacted.make("of-somebody-else") }),
      /^Kafka does not let this user in: kafka\.username and kafka\.password must be/
    ],
    [
      "an unknown authority",
      () => broker.saslSsl,
      () => ({ tls: { ca_file: broker.certificates.otherCa } }),
      /^Kafka's certificate is of an authority that is not known here: kafka\.tls\.ca_file must/
    ],
    [
      "the name of another host",
      () => broker.saslSsl.replace("127.0.0.1", "localhost"),
      () => ({}),
      /^Kafka's certificate is of another host than kafka\.brokers names/
    ],
    [
      "neither TLS nor a user",
      () => broker.saslSsl,
      () => ({ sasl_mechanism: "none", tls: plainTls }),
      /^Kafka closed the connection before it answered\. .*kafka\.tls\.enabled/
    ],
    [
      "TLS and no user",
      () => broker.saslSsl,
      () => ({ sasl_mechanism: "none" }),
      /^Kafka closed the connection before it answered\. .*kafka\.sasl_mechanism/
    ],
    [
      "no certificate where one is asked for",
      () => broker.ssl,
      () => ({ sasl_mechanism: "none" }),
      /^Kafka asks for a certificate of ours that it knows: kafka\.tls\.cert_file/
    ],
    [
      "TLS where there is none",
      () => broker.plain,
      () => ({ sasl_mechanism: "none" }),
      /^Kafka speaks no TLS there: kafka\.tls\.enabled must be false/
    ],
    [
      "a user where none is asked for",
      () => broker.plain,
      () => ({ tls: plainTls }),
      /^Kafka does not expect a user on this listener: kafka\.sasl_mechanism must be none/
    ]
  ]
  it.live.each(wrong)(
    "%s is told in a sentence that names the key, soon, and without the password",
    ([, where, change, sentence]) =>
      Effect.gen(function* () {
        const lines: Array<string> = []
        const begun = performance.now()
        const error = yield* Effect.flip(checkTopics(yield* optionsFor(where(), right(change())))).pipe(
          Effect.provide(Logger.layer([Logger.make((entry) => void lines.push(inspect(entry, { depth: 4 })))]))
        )

        assert.match(error.message, sentence)
        assert.isBelow(performance.now() - begun, 15_000)
        const told = inspect(error, { depth: 9, showHidden: true }) + lines.join("\n")
        for (const secret of [broker.password, "of-somebody-else"]) assert.notInclude(told, secret)
      })
  )

  it.live("a bus with a password that Kafka does not know yet says so, and goes on once Kafka knows it", () =>
    Effect.gen(function* () {
      const next = "known-only-later"
      const options = yield* optionsFor(
        broker.saslSsl,
        right({ sasl_mechanism: "SCRAM-SHA-256", password: Redacted.make(next) })
      )
      yield* withBus(options, (bus) =>
        Effect.gen(function* () {
          const refused = yield* eventually(
            bus.health,
            (problem) => problem?.includes("does not let this user in") ?? false
          )
          assert.match(refused ?? "", /kafka\.password/)
          assert.strictEqual((yield* Effect.flip(bus.publish("orders", 0, batchOf("o", "1"))))._tag, "BusUnavailable")

          yield* Effect.promise(() => broker.changePassword("SCRAM-SHA-256", next))

          yield* publishUntilTaken(bus, "orders", 0, batchOf("o", "1"))
          yield* eventually(bus.health, (problem) => problem === null)
        })
      )
    })
  )

  it("bare kafkajs logs in with the old password when the new one is put beside what it was given before", async () => {
    const ssl = { ca: readFileSync(broker.certificates.ca, "utf8") }
    const clientOf = (sasl: SASLOptions) =>
      new Kafka({ brokers: [broker.saslSsl], ssl, sasl, logLevel: logLevel.NOTHING, retry: { retries: 0 } }).admin()
    const loginOf = async (sasl: SASLOptions) => {
      const admin = clientOf(sasl)
      try {
        await admin.connect()
        return "let in"
      } catch (error) {
        return error instanceof Error ? error.name : String(error)
      } finally {
        await admin.disconnect()
      }
    }
    const { password, user: username } = broker
    const used: SASLOptions = { mechanism: "scram-sha-512", username, password }

    assert.strictEqual(await loginOf(used), "let in")
    assert.strictEqual(await loginOf({ ...used, password: "of-somebody-else" }), "let in")
    assert.strictEqual(
      await loginOf({ mechanism: "scram-sha-512", username, password: "of-somebody-else" }),
      "KafkaJSSASLAuthenticationError"
    )
  })

  it.live("a client of its own logs in with its own password, whatever another one was given before it", () =>
    Effect.gen(function* () {
      yield* checkedOrMissing(yield* optionsFor(broker.saslSsl, right()))
      const wrongNow = yield* optionsFor(broker.saslSsl, right({ password: Redacted.make("of-somebody-else") }))

      const error = yield* Effect.flip(checkTopics(wrongNow))

      assert.match(error.message, /does not let this user in/)
    })
  )

  /** The topics need not be there: it is the login that is tried. */
  const checkedOrMissing = (options: KafkaBusOptions) =>
    Effect.catchTag(checkTopics(options), "TopicsWrong", () => Effect.void)

  interface Rotation {
    readonly old: Environment
    readonly next: Environment
    /** Until both are good, or only the new one where there can be but one. */
    readonly begin: () => Promise<void>
    /** From here on only the new one is. */
    readonly end: () => Promise<void>
    /** What is let in no more, and what it is told. */
    readonly refused: Environment
    readonly refusal: RegExp
  }
  const certificate = ({ cert, key }: ClientCertificate): Environment => ({
    KAFKA_BROKERS: broker.ssl,
    KAFKA_USERNAME: "",
    KAFKA_PASSWORD: "",
    NEXUS_KAFKA_SASL_MECHANISM: "none",
    NEXUS_KAFKA_TLS_CERT_FILE: cert,
    NEXUS_KAFKA_TLS_KEY_FILE: key
  })
  const nothing = () => Promise.resolve()

  const rotations: ReadonlyArray<readonly [name: string, of: () => Rotation | Promise<Rotation>]> = [
    [
      "a second user",
      async () => {
        const old = { KAFKA_USERNAME: "user-1", KAFKA_PASSWORD: "password-of-user-1" }
        const next = { KAFKA_USERNAME: "user-2", KAFKA_PASSWORD: "password-of-user-2" }
        await broker.changePassword("SCRAM-SHA-512", old.KAFKA_PASSWORD, old.KAFKA_USERNAME)
        return {
          old,
          next,
          begin: () => broker.changePassword("SCRAM-SHA-512", next.KAFKA_PASSWORD, next.KAFKA_USERNAME),
          end: () => broker.removePassword("SCRAM-SHA-512", old.KAFKA_USERNAME),
          refused: old,
          refusal: /Kafka does not let this user in/
        }
      }
    ],
    [
      "a second certificate",
      () => ({
        old: certificate(broker.certificates.client),
        next: certificate(broker.certificates.nextClient),
        begin: nothing,
        end: nothing,
        refused: certificate(broker.certificates.otherClient),
        refusal: /Kafka asks for a certificate of ours that it knows/
      })
    ],
    [
      "another password",
      () => {
        const next = { KAFKA_PASSWORD: "the-second+pass" }
        return {
          old: { KAFKA_PASSWORD: broker.password },
          next,
          begin: () => broker.changePassword("SCRAM-SHA-512", next.KAFKA_PASSWORD),
          end: nothing,
          refused: { KAFKA_PASSWORD: broker.password },
          refusal: /Kafka does not let this user in/
        }
      }
    ]
  ]

  it.for(rotations)("%s is changed over to by a restart, orders go on, and the old one ends", async ([, of]) => {
    const { begin, end, next, old, refusal, refused } = await of()
    const scope = Scope.makeUnsafe()
    const name = freshOptions("").topics
    // Holds the embedded exchange, which both programs trade on in turn.
    const folder = newFolder()
    const settings = {
      ...rightEnv(broker),
      DATABASE_URL: await Effect.runPromise(Scope.provide(emptyDatabase(inject("pgUrl")), scope)),
      NEXUS_KAFKA_TOPICS_ORDERS: name.orders,
      NEXUS_KAFKA_TOPICS_EVENTS: name.events,
      NEXUS_HTTP_DRAIN_MS: "0"
    }
    const before = await serve(folder, { ...settings, ...old })
    const first = await place(before.url)
    assert.strictEqual((await ends(before.url, first.id)).status, "COMPLETED")

    await begin()
    // Its connections are open and stay so.
    assert.strictEqual((await ends(before.url, (await place(before.url)).id)).status, "COMPLETED")
    assert.strictEqual(await before.end("SIGTERM"), 0, before.err)
    const after = await serve(folder, { ...settings, ...next })
    await end()

    assert.strictEqual((await ends(after.url, (await place(after.url)).id)).status, "COMPLETED")
    // Three lives of at least four events each.
    while ((await recordsOf(name.events)) < 12) await pause(50)
    const shut = await run(["topics"], newFolder(), { ...settings, ...refused })
    assert.deepStrictEqual([shut.code, refusal.test(shut.err)], [1, true], shut.err)
    const open = await run(["topics"], newFolder(), { ...settings, ...next })
    assert.strictEqual(open.code, 0, open.err)
    const said = [before, after, shut].map(({ err, out }) => out + err).join("\n")
    for (const secret of [old["KAFKA_PASSWORD"], next["KAFKA_PASSWORD"]]) {
      if (secret !== undefined && secret !== "") assert.notInclude(said, secret)
    }
    await after.end("SIGTERM")
    await Effect.runPromise(Scope.close(scope, Exit.void))
  })

  /** Counted by a client that needs no password. */
  const recordsOf = async (topic: string): Promise<number> => {
    const admin = plainKafka(broker.plain).admin()
    await admin.connect()
    try {
      return (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0)
    } finally {
      await admin.disconnect()
    }
  }
})
