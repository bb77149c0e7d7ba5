/**
 * Builds kafkajs clients, the same way for all uses: guarded, bounded, and with its log as ours.
 *
 * Retries are finite on purpose. kafkajs' unbounded ones hide an absent broker, and what it does
 * after giving up is safe only because a producer is never used again after a rejected send.
 */
import { Effect } from "effect"
import type { LogEntry } from "kafkajs"
import { Kafka, logLevel } from "kafkajs"
import { installForeignTopicsGuard } from "./foreignTopicsGuard.ts"
import { installIdleTimerGuard } from "./idleTimerGuard.ts"
import type { Security } from "./Security.ts"

/** With these, one send settles within 27 s at worst (measured: a leader that swallows everything). */
export const requestTimeoutMillis = 5_000
export const connectionTimeoutMillis = 2_000
/** All keys given: kafkajs takes other defaults when NODE_ENV is "test". */
export const retry = { retries: 4, initialRetryTime: 100, maxRetryTime: 2_000, factor: 0.2, multiplier: 2 }

export interface ClientOptions {
  readonly brokers: ReadonlyArray<string>
  readonly clientId: string
  /** Absent: in the clear, and nobody in particular. */
  readonly security?: Security
}

export const makeClient = Effect.fnUntraced(function* (options: ClientOptions) {
  yield* Effect.sync(installIdleTimerGuard)
  yield* Effect.sync(installForeignTopicsGuard)
  const context = yield* Effect.context()
  const log = Effect.runForkWith(context)
  return new Kafka({
    brokers: [...options.brokers],
    clientId: options.clientId,
    ...options.security?.(),
    connectionTimeout: connectionTimeoutMillis,
    requestTimeout: requestTimeoutMillis,
    retry,
    logLevel: logLevel.WARN,
    logCreator: () => {
      const quiet = quietRepeats()
      return (entry) => {
        if (!quiet(entry)) log(logLine(entry))
      }
    }
  })
})

/** kafkajs warns at each producer that finite retries weaken exactly-once, which we do not promise. */
const expected = "Limiting retries for the idempotent producer may invalidate EoS guarantees"

/** A failover, an ordinary event, comes at level ERROR. Only named fields pass: others may hold payload. */
const logLine = ({ level, log, namespace }: LogEntry): Effect.Effect<void> =>
  (level === logLevel.ERROR ? Effect.logWarning(log.message) : Effect.logDebug(log.message)).pipe(
    Effect.annotateLogs({ kafkajs: namespace, ...pick(log, ["broker", "groupId", "topic", "error"]) })
  )

const pick = (log: LogEntry["log"], names: ReadonlyArray<string>): Record<string, unknown> =>
  Object.fromEntries(names.filter((name) => log[name] !== undefined).map((name) => [name, log[name]]))

/** The same line again within this time says nothing new: a broker that is away makes hundreds. */
const repeatQuietMillis = 30_000
const rememberedLines = 64

const quietRepeats = (): ((entry: LogEntry) => boolean) => {
  const lastAt = new Map<string, number>()
  return ({ log, namespace }) => {
    if (log.message === expected) return true
    const line = `${namespace} ${log.message}`
    const now = Date.now()
    if (now - (lastAt.get(line) ?? -Infinity) < repeatQuietMillis) return true
    if (lastAt.size >= rememberedLines) lastAt.clear()
    lastAt.set(line, now)
    return false
  }
}
