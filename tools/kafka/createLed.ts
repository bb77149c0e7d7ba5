/**
 * Creates topics and waits until every partition has a leader. kafkajs can wait by itself, and then fails where the
 * brokers have not told each other of the topic yet.
 */
import type { Admin, ITopicConfig } from "kafkajs"
import kafkajs from "kafkajs"

const limitMillis = 30_000
const pauseMillis = 50
/** What a broker says of a topic whose leaders it does not know yet. */
const notYet: ReadonlySet<string> = new Set(["UNKNOWN_TOPIC_OR_PARTITION", "LEADER_NOT_AVAILABLE"])

export const createLed = async (admin: Admin, topics: ReadonlyArray<ITopicConfig>): Promise<void> => {
  await admin.createTopics({ topics: [...topics], waitForLeaders: false })
  const names = topics.map(({ topic }) => topic)
  for (const begun = performance.now(); ;) {
    if (await areLed(admin, names)) return
    if (performance.now() - begun > limitMillis)
      throw new Error(`no leaders after ${limitMillis} ms: ${names.join(", ")}`)
    await new Promise((resolve) => setTimeout(resolve, pauseMillis))
  }
}

const areLed = async (admin: Admin, names: ReadonlyArray<string>): Promise<boolean> => {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [...names] })
    return topics.every(({ partitions }) => partitions.length > 0 && partitions.every(({ leader }) => leader >= 0))
  } catch (error) {
    if (error instanceof kafkajs.KafkaJSProtocolError && notYet.has(error.type)) return false
    throw error
  }
}
