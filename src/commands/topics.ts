/** `nexus topics`: creates what is not there, and says whether the rest is right. Needs Kafka alone. */
import { Console, Effect, Schema } from "effect"
import { AppConfig } from "../config.ts"
import { AccessFault } from "../kafka/accessFaults.ts"
import { ensureTopics, type TopicsOptions, TopicsWrong } from "../kafka/Topics.ts"
import { NoKafka } from "./NoKafka.ts"

class KafkaAway extends Schema.TaggedError<KafkaAway>()("KafkaAway", {
  brokers: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `Kafka does not answer at ${this.brokers}: start it, or check KAFKA_BROKERS (${this.detail})`
  }
}

export const topics = <E, R>(configured: Effect.Effect<TopicsOptions, E, R>) =>
  Effect.gen(function* () {
    const { parts } = yield* AppConfig
    if (parts.kafka === "embedded") return yield* new NoKafka({})
    const options = yield* configured
    const { created, existing, weak } = yield* Effect.catchTag(
      ensureTopics(options),
      "BusUnavailable",
      ({ cause, message }) =>
        Effect.fail(
          cause instanceof AccessFault ? cause : new KafkaAway({ brokers: options.brokers.join(", "), detail: message })
        )
    )
    yield* Console.log(
      created.length > 0
        ? `created ${created.join(", ")}`
        : weak.length === 0
          ? `the topics are right: ${existing.join(", ")}`
          : `the topics are there: ${existing.join(", ")}`
    )
    if (weak.length > 0) return yield* new TopicsWrong({ problems: weak })
  })
