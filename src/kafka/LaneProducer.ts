/**
 * Sends to one topic and lane, so that what Kafka acknowledged is there. Four habits of kafkajs lose
 * acknowledged messages; each rule here closes one of them:
 *
 * - one send in flight (overlapping ones reuse sequence numbers, and the broker drops the second);
 * - after a rejected send a new producer (the old one reuses the sequence of what may be stored);
 * - one partition per send, and the answer must name it (a moved leader else means "sent" unsent);
 * - a send is never interrupted nor disconnected under (it would be stored later, out of order).
 *
 * Holds "in order per lane" of the port. Trying again for ever is the caller's part.
 */
import { Data, Effect, Semaphore } from "effect"
import type { Kafka, Message, Producer, RecordMetadata } from "kafkajs"
import { Partitioners } from "kafkajs"
import { explained } from "./accessFaults.ts"
import { retry } from "./Client.ts"
import type { BusRecord, Topic } from "./EventBus.ts"
import { BusUnavailable, RecordRefused } from "./EventBus.ts"

export interface LaneProducer {
  readonly send: (records: ReadonlyArray<BusRecord>) => Effect.Effect<void, BusUnavailable | RecordRefused>
  /** Waits for the send in flight. Later sends fail. */
  readonly close: Effect.Effect<void>
}

/** Below the broker's default of 1 MB, with room for what framing adds. */
export const maxSendBytes = 900_000

/** Upper bound of what the record format adds to one record and to each of its headers. */
const recordOverheadBytes = 32
const headerOverheadBytes = 8

/** A closing connection answers at once or never; a new producer has a new id and need not wait. */
const disconnectTimeoutMillis = 3_000

export const makeLaneProducer = (kafka: Kafka, name: string, topic: Topic, lane: number): LaneProducer => {
  const turn = Semaphore.makeUnsafe(1)
  // Both owned by whoever holds the turn.
  let producer: Producer | undefined
  let closed = false

  const unavailable = (cause: unknown) => new BusUnavailable({ topic, lane, cause: explained(cause, "later") })

  const connected = Effect.fnUntraced(function* () {
    if (closed) return yield* unavailable(new Error("the bus is closed"))
    if (producer !== undefined) return producer
    const fresh = kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
      retry
    })
    yield* Effect.tryPromise({ try: () => fresh.connect(), catch: unavailable }).pipe(
      Effect.tapError(() => disconnect(fresh))
    )
    producer = fresh
    return fresh
  })

  /** Only ever with no send unsettled. */
  const retire = Effect.suspend(() => {
    const old = producer
    producer = undefined
    return old === undefined ? Effect.void : disconnect(old)
  })

  const sendOnce = Effect.fnUntraced(function* (messages: ReadonlyArray<Message>) {
    const current = yield* connected()
    yield* Effect.tryPromise({
      try: () => current.send({ topic: name, messages: [...messages], acks: -1 }),
      catch: (cause) => (isRefusal(cause) ? new Refusal({ reason: reasonOf(cause) }) : unavailable(cause))
    }).pipe(
      Effect.filterOrFail(
        (answer) => names(answer, name, lane),
        () => unavailable(new Error(`Kafka did not confirm partition ${lane} of ${name}`))
      ),
      Effect.tapError(() => retire)
    )
  })

  /** Halves what the broker refuses until the one record that it will never take stands alone. */
  const sendSpan = (
    messages: ReadonlyArray<Message>,
    first: number
  ): Effect.Effect<void, BusUnavailable | RecordRefused> =>
    sendOnce(messages).pipe(
      Effect.catchTag("Refusal", ({ reason }) => {
        if (messages.length === 1) return Effect.fail(new RecordRefused({ topic, lane, index: first, reason }))
        const half = messages.length >> 1
        return Effect.andThen(sendSpan(messages.slice(0, half), first), sendSpan(messages.slice(half), first + half))
      })
    )

  const send = Effect.fnUntraced(function* (records: ReadonlyArray<BusRecord>) {
    const spans = yield* spansOf(records, topic, lane)
    for (const span of spans) {
      yield* sendSpan(
        records.slice(span.from, span.to).map((record) => ({ ...record, partition: lane })),
        span.from
      )
    }
  })

  return {
    // The wait for the turn may be interrupted; the sending may not.
    send: (records) => Semaphore.withPermit(turn, Effect.uninterruptible(send(records))),
    close: Semaphore.withPermit(
      turn,
      Effect.suspend(() => {
        closed = true
        return retire
      })
    )
  }
}

const disconnect = (producer: Producer): Effect.Effect<void> =>
  Effect.tryPromise(() => producer.disconnect()).pipe(
    Effect.timeoutOption(disconnectTimeoutMillis),
    // The connection is being given up; that it is broken already is the usual case.
    Effect.catch((error) => Effect.logDebug("a producer did not disconnect in order", error))
  )

const names = (answer: ReadonlyArray<RecordMetadata>, name: string, lane: number): boolean =>
  answer.length === 1 && answer[0]!.topicName === name && answer[0]!.partition === lane && answer[0]!.errorCode === 0

interface Span {
  readonly from: number
  readonly to: number
}

/** Consecutive runs of records, each below `maxSendBytes`. */
const spansOf = Effect.fnUntraced(function* (records: ReadonlyArray<BusRecord>, topic: Topic, lane: number) {
  const spans: Array<Span> = []
  let from = 0
  let bytes = 0
  for (const [index, record] of records.entries()) {
    if (!isText(record)) {
      return yield* new RecordRefused({ topic, lane, index, reason: "it holds text that UTF-8 cannot carry" })
    }
    const size = sizeOf(record)
    if (size > maxSendBytes) {
      const reason = `it has ${size} bytes, more than ${maxSendBytes}`
      return yield* new RecordRefused({ topic, lane, index, reason })
    }
    if (bytes + size > maxSendBytes) {
      spans.push({ from, to: index })
      from = index
      bytes = 0
    }
    bytes += size
  }
  if (from < records.length) spans.push({ from, to: records.length })
  return spans
})

const sizeOf = (record: BusRecord): number => {
  let bytes = recordOverheadBytes + Buffer.byteLength(record.key) + Buffer.byteLength(record.value)
  for (const [name, value] of Object.entries(record.headers)) {
    bytes += headerOverheadBytes + Buffer.byteLength(name) + Buffer.byteLength(value)
  }
  return bytes
}

// A lone surrogate would be replaced on the wire, silently, and then no longer be what was hashed.
const isText = (record: BusRecord): boolean =>
  record.key.isWellFormed() &&
  record.value.isWellFormed() &&
  Object.values(record.headers).every((value) => value.isWellFormed())

class Refusal extends Data.TaggedError("Refusal")<{ readonly reason: string }> {}

/** The broker's word on the content: the same bytes will be refused again. */
const refusals = new Set(["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_RECORD"])

const isRefusal = (error: unknown): boolean => refusals.has(protocolType(error) ?? "")

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** kafkajs wraps the protocol's error once or twice. */
export const protocolType = (error: unknown): string | undefined => {
  for (let current = error, depth = 0; current instanceof Error && depth < 5; current = current.cause, depth++) {
    const type = (current as Error & { readonly type?: unknown }).type
    if (typeof type === "string") return type
  }
  return undefined
}
