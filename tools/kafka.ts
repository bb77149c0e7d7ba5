/**
 * `npm run kafka`: a real Kafka broker on 127.0.0.1:9092 (KAFKA_PORT changes it) until Ctrl-C.
 *
 * Data is kept in `.nexus/kafka`, so topics and messages are there again next time. For development and for trying
 * `KAFKA_BROKERS=127.0.0.1:9092 npm start`; a production broker is not ours to run.
 */
import { resolve } from "node:path"
import { findKafka, startBroker } from "./kafka/Broker.ts"

const source = await findKafka()
if (source._tag === "None") {
  console.error(`${source.reason}. Install Java 17 and Maven, or start Docker.`)
  process.exit(1)
}
const broker = await startBroker({
  source,
  port: Number(process.env.KAFKA_PORT || 9092),
  dataDir: resolve(import.meta.dirname, "../.nexus/kafka")
})
console.log(`Kafka is ready. Use it with: KAFKA_BROKERS=${broker.brokers} npm start`)

// The broker does not hold our event loop; this does, until a signal asks to stop.
const alive = setInterval(() => undefined, 60_000)
const stop = () => {
  clearInterval(alive)
  void broker.stop()
}
process.once("SIGINT", stop)
process.once("SIGTERM", stop)
