/**
 * The two topics: one partition per lane, made once, and checked ever after.
 *
 * A lane is a partition, so another partition count than the store's lanes is no detail: too few and
 * some lanes can never be sent. Settings that keep less than was asked for are told, and sending goes on: records that
 * are kept for a shorter time are better than none. What is wrong is said in sentences that end with what mends it.
 */
import { Effect, Schedule, Schema } from "effect"
import type { Admin, ITopicMetadata, Kafka } from "kafkajs"
import kafkajs from "kafkajs"
import { explained } from "./accessFaults.ts"
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
  /** Where the topics keep less than the configuration asks for: one sentence each, with what mends it. */
  readonly weak: ReadonlyArray<string>
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
      return { created: missing, existing, weak: yield* check(admin, options) }
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
      return { created: [], existing, weak: yield* check(admin, options) }
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
        asked(() => admin.connect(), "atFirst"),
        use(admin)
      ),
    (admin) =>
      Effect.tryPromise(() => admin.disconnect()).pipe(
        Effect.timeoutOption(adminDisconnectMillis),
        Effect.catch((error) => Effect.logDebug("the admin client did not disconnect in order", error))
      )
  )

const asked = <A>(ask: () => Promise<A>, when: "atFirst" | "later" = "later"): Effect.Effect<A, BusUnavailable> =>
  Effect.tryPromise({
    try: ask,
    catch: (cause) => new BusUnavailable({ topic: null, lane: null, cause: explained(cause, when) })
  })

const existingOf = (admin: Admin, options: TopicsOptions) =>
  Effect.map(
    // A broker that wants a user answers this, the first real question, by closing.
    asked(() => admin.listTopics(), "atFirst"),
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

const askedUntilSettled = <A>(ask: () => Promise<A>) =>
  asked(ask).pipe(
    Effect.retry({
      while: ({ cause }) => unsettled.has(protocolType(cause) ?? ""),
      times: settleAttempts,
      schedule: Schedule.spaced(settlePauseMillis)
    })
  )

/** Fails when lanes cannot be sent; gives what is weaker than asked for. */
const check = Effect.fnUntraced(function* (admin: Admin, options: TopicsOptions) {
  const { topics } = yield* askedUntilSettled(() => admin.fetchTopicMetadata({ topics: [...namesOf(options)] }))
  const inOrder = [...topics].sort((one, other) => one.name.localeCompare(other.name))
  const problems = inOrder
    .filter((topic) => topic.partitions.length !== options.lanes)
    .map((topic) => partitionProblem(topic, options.lanes))
  if (problems.length > 0) return yield* new TopicsWrong({ problems })
  const settings = yield* settingsOf(admin, options)
  return inOrder.flatMap((topic) => weaknesses(topic, settings.get(topic.name) ?? new Map(), options))
})

type Settings = ReadonlyMap<string, string>

/** By topic and name. Empty where this client may not ask: that is no reason to send nothing. */
const settingsOf = (
  admin: Admin,
  options: TopicsOptions
): Effect.Effect<ReadonlyMap<string, Settings>, BusUnavailable> =>
  askedUntilSettled(() =>
    admin.describeConfigs({
      includeSynonyms: false,
      resources: namesOf(options).map((name) => ({
        type: kafkajs.ConfigResourceTypes.TOPIC,
        name,
        configNames: ["retention.ms", "min.insync.replicas", "cleanup.policy"]
      }))
    })
  ).pipe(
    Effect.map(
      ({ resources }) =>
        new Map(
          resources.map(({ configEntries, resourceName }) => [
            resourceName,
            new Map(configEntries.map(({ configName, configValue }) => [configName, configValue]))
          ])
        )
    ),
    Effect.catchIf(
      ({ cause }) => mayNotAsk.has(protocolType(cause) ?? ""),
      () => Effect.succeed(new Map<string, Settings>())
    )
  )

const mayNotAsk = new Set(["TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"])

const weaknesses = (topic: ITopicMetadata, settings: Settings, options: TopicsOptions): ReadonlyArray<string> => {
  const { name } = topic
  const { minInsyncReplicas, replicationFactor, retentionMs } = options
  const mend = (setting: string) =>
    `kafka-configs.sh --alter --entity-type topics --entity-name ${name} --add-config ${setting}`
  const found: Array<string> = []
  const retention = settings.get("retention.ms")
  // -1 keeps records for ever.
  if (retention !== undefined && Number(retention) >= 0 && Number(retention) < retentionMs) {
    found.push(
      `Topic "${name}" keeps records for ${retention} ms, kafka.retention_ms asks for ${retentionMs}: ` +
        `${mend(`retention.ms=${retentionMs}`)}, or lower the key.`
    )
  }
  const policy = settings.get("cleanup.policy")
  if (policy !== undefined && policy !== "delete") {
    found.push(
      `Topic "${name}" has cleanup.policy ${policy}, which takes an order's older events away: ${mend("cleanup.policy=delete")}.`
    )
  }
  const insync = settings.get("min.insync.replicas")
  if (insync !== undefined && Number(insync) < minInsyncReplicas) {
    found.push(
      `Topic "${name}" counts a record as sent with ${insync} copies, kafka.min_insync_replicas asks for ${minInsyncReplicas}: ` +
        `${mend(`min.insync.replicas=${minInsyncReplicas}`)}.`
    )
  }
  const copies = Math.min(...topic.partitions.map(({ replicas }) => replicas.length))
  if (copies < replicationFactor) {
    found.push(
      `Topic "${name}" has ${copies} copies, kafka.replication_factor asks for ${replicationFactor}: ` +
        "give it more with kafka-reassign-partitions.sh, or lower the key."
    )
  }
  return found
}

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
