/** The part of `nexus doctor` that looks at the bus: whether the brokers answer, and whether the topics are right. */
import { Effect } from "effect"
import { AppConfig } from "../config.ts"
import { fault, note, ok } from "../engine/Doctor.ts"
import { AccessFault } from "../kafka/accessFaults.ts"
import { checkTopics, type TopicsOptions } from "../kafka/Topics.ts"

export const examineKafka = <E, R>(
  configured: Effect.Effect<TopicsOptions & { readonly createTopics: boolean }, E, R>
) =>
  Effect.gen(function* () {
    const { app, kafka, parts } = yield* AppConfig
    if (parts.kafka === "embedded") return [ok("kafka", "the embedded bus: one process")]
    const needed = app.roles.some((role) => role === "relay" || role === "executor")
    const options = yield* configured
    return yield* checkTopics(options).pipe(
      Effect.map(({ existing, weak }) => [
        ok("kafka", `${kafka.brokers.join(", ")} has ${existing.join(" and ")}`),
        ...weak.map((each) => note("kafka", each, "orders flow meanwhile"))
      ]),
      Effect.catch((error) => {
        if (error._tag === "TopicsWrong") {
          // Where this process may make them it will.
          const willMake = options.createTopics && /has no topic/.test(error.message)
          return Effect.succeed([
            willMake
              ? note("kafka", error.message, "they are made at the start")
              : fault("kafka", error.message, 'run "nexus topics"')
          ])
        }
        const access = error.cause instanceof AccessFault
        const says = access
          ? `${kafka.brokers.join(", ")}: ${error.message}`
          : `${kafka.brokers.join(", ")} does not answer (${error.message})`
        return Effect.succeed([
          needed
            ? fault("kafka", says, `${access ? "" : "start it, or check KAFKA_BROKERS; "}orders flow slower meanwhile`)
            : note("kafka", says, "this process takes orders without it")
        ])
      })
    )
  })
