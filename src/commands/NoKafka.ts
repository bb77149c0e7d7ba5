/** A command needs a Kafka, and the bus of this configuration lives within one process. */
import { Schema } from "effect"

export class NoKafka extends Schema.TaggedError<NoKafka>()("NoKafka", {}) {
  override get message() {
    return "no Kafka is configured: set KAFKA_BROKERS, for example to localhost:9092"
  }
}
