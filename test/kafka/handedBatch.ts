/** A batch as kafkajs hands it out, of records at these offsets, which notes what is done with it. */
import type { KafkaMessage } from "kafkajs"
import { createRequire } from "node:module"
import type { Payload } from "../../src/kafka/batches.ts"

const { KafkaJSProtocolError } = createRequire(import.meta.url)("kafkajs/src/errors.js") as {
  readonly KafkaJSProtocolError: new (answer: object) => Error
}

/** As kafkajs throws what the coordinator answers. */
export const refusal = (type: string): Error => new KafkaJSProtocolError({ type, message: type, retriable: false })

const messageAt = (offset: string): KafkaMessage => ({
  key: Buffer.from("o"),
  value: Buffer.from("{}"),
  timestamp: "0",
  attributes: 0,
  offset,
  headers: {}
})

export const handedBatch = (
  offsets: ReadonlyArray<string>,
  answers: { readonly commit?: () => Promise<void>; readonly heartbeat?: () => Promise<void> } = {}
) => {
  const is = { isStale: false, isRunning: true }
  const resolved: Array<string> = []
  const committed: Array<string> = []
  const first = offsets[0] ?? "0"
  const last = offsets.at(-1) ?? "0"
  const payload: Payload = {
    batch: {
      topic: "orders",
      partition: 0,
      highWatermark: last,
      messages: offsets.map(messageAt),
      isEmpty: () => offsets.length === 0,
      firstOffset: () => first,
      lastOffset: () => last,
      offsetLag: () => "0",
      offsetLagLow: () => "0"
    },
    resolveOffset: (offset) => void resolved.push(offset),
    heartbeat: answers.heartbeat ?? (() => Promise.resolve()),
    commitOffsetsIfNecessary: (offsets) => {
      committed.push(...(offsets?.topics ?? []).flatMap(({ partitions }) => partitions.map(({ offset }) => offset)))
      return answers.commit?.() ?? Promise.resolve()
    },
    isRunning: () => is.isRunning,
    isStale: () => is.isStale
  }
  return { payload, is, resolved, committed }
}
