/** `nexus republish`: beside the programs that serve, on their database and their Kafka. */
import { Console, Effect } from "effect"
import { AppConfig } from "../config.ts"
import { republish as sendAgain } from "../engine/Republish.ts"
import { NoKafka } from "./NoKafka.ts"

export const republish = (range: { readonly lane: number; readonly from: number; readonly to: number }) =>
  Effect.gen(function* () {
    const { kafka, parts } = yield* AppConfig
    if (parts.kafka === "embedded") return yield* new NoKafka({})
    const { events, orders } = yield* sendAgain(range)
    yield* Console.log(
      `sent positions ${range.from} to ${range.to} of lane ${range.lane} again: ` +
        `${events} to ${kafka.topics.events}, ${orders} of them to ${kafka.topics.orders} too`
    )
  })
