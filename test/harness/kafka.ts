/**
 * The run's Kafka for a test file: its brokers, the suite that is skipped without it, and brokers of one's own.
 *
 *     describeKafka("the bus on a real broker", () => { it("…", () => use(kafkaBrokers())) })
 *     describeOwnBroker("a broker that dies", () => { … const broker = await startOwnBroker() … })
 */
import { inject } from "vitest"
import { findKafka, startBroker, type Broker } from "../../tools/kafka/Broker.ts"
import { describeIf } from "./describeIf.ts"

/** Runs with a real Kafka; else the file reports itself skipped with the reason. */
export const describeKafka = describeIf(inject("kafkaSkipReason"))

/** Runs where a broker can be started that belongs to the test alone, so that it may be killed. */
export const describeOwnBroker = describeIf(inject("ownBrokerSkipReason"))

/** Bootstrap servers of the run's shared broker. Topics and groups of a file need names of their own. */
export const kafkaBrokers = (): string => {
  const brokers = inject("kafkaBrokers")
  if (brokers === null) throw new Error("use kafkaBrokers() inside describeKafka: there is no Kafka in this run")
  return brokers
}

/** Another broker, for a test that stops or kills it. The caller stops it; it dies with the run in any case. */
export const startOwnBroker = async (): Promise<Broker> => startBroker({ source: await findKafka() })
