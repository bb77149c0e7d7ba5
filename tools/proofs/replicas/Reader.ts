/**
 * A plain consumer of the events topic, with no code of Nexus: it proves from headers alone that nothing is missing, in
 * order per order, and that a repeat is the same. It also has an effect of each event, once, by nothing but order id and
 * version: what it counts must be what the log has.
 */
import { createHash } from "node:crypto"
import { type Consumer, Kafka, logLevel, type KafkaMessage } from "kafkajs"
import { pause } from "../programs.ts"

const firstMillis = 30_000

export class Reader {
  /** Records that came again. */
  repeats = 0
  read = 0
  /** Events that had their effect, each the next version of its order. */
  effects = 0
  readonly faults: Array<string> = []
  readonly #consumer: Consumer
  /** Of each lane and generation, a digest per position. */
  readonly #seen = new Map<string, Map<number, string>>()
  readonly #versions = new Map<string, number>()
  /** The inbox: of each order, the version whose effect was the last. */
  readonly #applied = new Map<string, number>()

  constructor(brokers: ReadonlyArray<string>, group: string) {
    this.#consumer = new Kafka({ brokers: [...brokers], clientId: group, logLevel: logLevel.NOTHING }).consumer({
      groupId: group
    })
  }

  async open(topic: string): Promise<void> {
    await this.#consumer.connect()
    await this.#consumer.subscribe({ topics: [topic], fromBeginning: true })
    await this.#consumer.run({
      eachMessage: ({ message, partition }) => {
        this.#take(partition, message)
        return Promise.resolve()
      }
    })
    const end = Date.now() + firstMillis
    while (this.read === 0) {
      if (Date.now() > end) throw new Error(`nothing came from ${topic}`)
      await pause(50)
    }
  }

  close(): Promise<void> {
    return this.#consumer.disconnect()
  }

  /** How many positions of a lane are missing up to its head. */
  missing(lane: number, generation: number, head: number): number {
    const seen = this.#seen.get(`${lane}/${generation}`)
    let missing = 0
    for (let position = 1; position <= head; position++) if (seen?.has(position) !== true) missing += 1
    return missing
  }

  #take(partition: number, message: KafkaMessage): void {
    this.read += 1
    const header = (name: string) => String(message.headers?.[name] ?? "")
    const lane = header("ce_lane")
    const position = Number(header("ce_position"))
    const where = `${lane}/${header("ce_generation")}`
    if (Number(lane) !== partition) this.faults.push(`lane ${lane} stands in partition ${partition}`)
    const key = `${header("ce_generation")}/${header("ce_subject")}`
    const digest = createHash("sha256")
      .update(`${header("ce_id")} ${header("ce_type")} ${header("ce_sequence")} ${key} `)
      .update(message.value ?? "")
      .digest("base64")
    const version = Number(header("ce_sequence"))
    if (version === (this.#applied.get(key) ?? 0) + 1) {
      this.#applied.set(key, version)
      this.effects += 1
    }
    let seen = this.#seen.get(where)
    if (seen === undefined) this.#seen.set(where, (seen = new Map()))
    const before = seen.get(position)
    if (before !== undefined) {
      this.repeats += 1
      if (before !== digest) this.faults.push(`lane ${where} position ${position} came again as another`)
      return
    }
    seen.set(position, digest)
    const last = this.#versions.get(key) ?? 0
    if (version !== last + 1) this.faults.push(`${key} came with version ${version} after ${last}`)
    this.#versions.set(key, version)
  }
}
