/**
 * The two topics: one partition per lane, made once, and checked ever after.
 *
 * A lane is a partition, so another partition count than the store's lanes is no detail: too few and
 * some lanes can never be sent. What is wrong is said in sentences that end with what mends it.
 */
import { Effect, Schedule, Schema } from "effect"
import type { Admin, ITopicMetadata, Kafka } from "kafkajs"
import type { ClientOptions } from "./Client.ts"
import { makeClient, retry } from "./Client.ts"
import { BusUnavailable } from "./EventBus.ts"
import { protocolType } from "./LaneProducer.ts"

export interface TopicsOptions extends ClientOptions {
  /** The real names. */
  readonly topics: { readonly orders: string; readonly events: string }
  /** Partition count of both: the lanes of the store. */
  readonly lanes: number
  readonly replicationFactor: number
  readonly minInsyncReplicas: number
  readonly retentionMs: number
}

export interface TopicsReport {
  readonly created: ReadonlyArray<string>
  readonly existing: ReadonlyArray<string>
}

/** Kafka answers, but with these topics the lanes cannot be sent. Trying again does not help. */
export class TopicsWrong extends Schema.TaggedError<TopicsWrong>()("TopicsWrong", {
  /** One sentence each, with what mends it. */
  problems: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return this.problems.join(" ")
  }
}

/** Makes what is missing and checks what is there. */
export const ensureTopics = (options: TopicsOptions): Effect.Effect<TopicsReport, TopicsWrong | BusUnavailable> =>
  Effect.flatMap(makeClient(options), (kafka) => ensureTopicsOn(kafka, options))

export const ensureTopicsOn = (kafka: Kafka, options: TopicsOptions) =>
  withAdmin(kafka, (admin) =>
    Effect.gen(function* () {
      const existing = yield* existingOf(admin, options)
      const missing = namesOf(options).filter((name) => !existing.includes(name))
      if (missing.length > 0) yield* create(admin, options, missing)
      yield* checkPartitions(admin, options)
      return { created: missing, existing }
    })
  )

/** Only checks: for where topics are made by `nexus topics`, with rights that a server need not have. */
export const checkTopicsOn = (kafka: Kafka, options: TopicsOptions) =>
  withAdmin(kafka, (admin) =>
    Effect.gen(function* () {
      const existing = yield* existingOf(admin, options)
      const missing = namesOf(options).filter((name) => !existing.includes(name))
      if (missing.length > 0) {
        return yield* new TopicsWrong({
          problems: missing.map(
            (name) => `Kafka has no topic "${name}": run "nexus topics", or set kafka.create_topics.`
          )
        })
      }
      yield* checkPartitions(admin, options)
      return { created: [], existing }
    })
  )

/** The same on a client of its own. */
export const checkTopics = (options: TopicsOptions) =>
  Effect.flatMap(makeClient(options), (kafka) => checkTopicsOn(kafka, options))

const namesOf = ({ topics }: TopicsOptions): ReadonlyArray<string> => [...new Set([topics.orders, topics.events])]

/** An admin client has no work in flight when it is let go; a connection that is gone answers never. */
const adminDisconnectMillis = 3_000

const withAdmin = <A, E>(
  kafka: Kafka,
  use: (admin: Admin) => Effect.Effect<A, E>
): Effect.Effect<A, E | BusUnavailable> =>
  Effect.acquireUseRelease(
    Effect.sync(() => kafka.admin({ retry })),
    (admin) =>
      Effect.andThen(
        asked(() => admin.connect()),
        use(admin)
      ),
    (admin) =>
      Effect.tryPromise(() => admin.disconnect()).pipe(
        Effect.timeoutOption(adminDisconnectMillis),
        Effect.catch((error) => Effect.logDebug("the admin client did not disconnect in order", error))
      )
  )

const asked = <A>(ask: () => Promise<A>): Effect.Effect<A, BusUnavailable> =>
  Effect.tryPromise({ try: ask, catch: (cause) => new BusUnavailable({ topic: null, lane: null, cause }) })

const existingOf = (admin: Admin, options: TopicsOptions) =>
  Effect.map(
    asked(() => admin.listTopics()),
    (all) => namesOf(options).filter((name) => all.includes(name))
  )

const createTimeoutMillis = 5_000

const create = Effect.fnUntraced(function* (admin: Admin, options: TopicsOptions, missing: ReadonlyArray<string>) {
  const configEntries = [
    { name: "min.insync.replicas", value: String(options.minInsyncReplicas) },
    { name: "cleanup.policy", value: "delete" },
    { name: "retention.ms", value: String(options.retentionMs) }
  ]
  yield* Effect.tryPromise({
    try: () =>
      admin.createTopics({
        timeout: createTimeoutMillis,
        waitForLeaders: false,
        topics: missing.map((topic) => ({
          topic,
          numPartitions: options.lanes,
          replicationFactor: options.replicationFactor,
          configEntries
        }))
      }),
    catch: (cause) => refusalOf(cause, options) ?? new BusUnavailable({ topic: null, lane: null, cause })
  })
})

/** A broker that has just made a topic may not know it yet, nor who leads it. */
const settleAttempts = 100
const settlePauseMillis = 100
const unsettled = new Set(["UNKNOWN_TOPIC_OR_PARTITION", "LEADER_NOT_AVAILABLE"])

const partitionsOf = (admin: Admin, options: TopicsOptions) =>
  asked(() => admin.fetchTopicMetadata({ topics: [...namesOf(options)] })).pipe(
    Effect.retry({
      while: ({ cause }) => unsettled.has(protocolType(cause) ?? ""),
      times: settleAttempts,
      schedule: Schedule.spaced(settlePauseMillis)
    })
  )

const checkPartitions = Effect.fnUntraced(function* (admin: Admin, options: TopicsOptions) {
  const { topics } = yield* partitionsOf(admin, options)
  const problems = [...topics]
    .sort((one, other) => one.name.localeCompare(other.name))
    .filter((topic) => topic.partitions.length !== options.lanes)
    .map((topic) => partitionProblem(topic, options.lanes))
  if (problems.length > 0) return yield* new TopicsWrong({ problems })
})

const partitionProblem = ({ name, partitions }: ITopicMetadata, lanes: number): string => {
  const found = `Topic "${name}" has ${partitions.length} partitions but the store has ${lanes} lanes:`
  return partitions.length < lanes
    ? `${found} add partitions (kafka-topics.sh --alter --topic ${name} --partitions ${lanes}), which moves no record.`
    : `${found} give kafka.topics another name or delete the topic, for partitions cannot be taken away.`
}

const mayNotCreate = () => 'This client may not create topics: grant it CREATE, or run "nexus topics" as one that may'
const mustChange = () => "Kafka refuses these topics: change the kafka section of the configuration"

/** By kafkajs' name of the broker's answer. */
const sentences: Readonly<Record<string, (options: TopicsOptions) => string>> = {
  INVALID_REPLICATION_FACTOR: ({ replicationFactor }) =>
    `Kafka cannot keep ${replicationFactor} copies: lower kafka.replication_factor or start more brokers`,
  TOPIC_AUTHORIZATION_FAILED: mayNotCreate,
  CLUSTER_AUTHORIZATION_FAILED: mayNotCreate,
  INVALID_TOPIC_EXCEPTION: mustChange,
  INVALID_CONFIG: mustChange,
  POLICY_VIOLATION: mustChange
}

/** What the cluster will answer again, in a sentence; null when asking later may help. */
const refusalOf = (error: unknown, options: TopicsOptions): TopicsWrong | null => {
  for (const each of partsOf(error)) {
    const says = each instanceof Error ? each.message : String(each)
    const sentence = sentences[protocolType(each) ?? ""]
    if (sentence !== undefined) return new TopicsWrong({ problems: [`${sentence(options)} (${says}).`] })
  }
  return null
}

/** kafkajs gathers the answers per topic in one error. */
const partsOf = (error: unknown): ReadonlyArray<unknown> => {
  const parts = (error as { readonly errors?: unknown }).errors
  return Array.isArray(parts) ? parts : [error]
}
