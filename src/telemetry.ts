/**
 * What the program says about itself: log lines and the names of metrics.
 *
 * A record is one line of JSON, or for eyes a line of text with its cause indented below. Records go to standard error,
 * so that a command's answer on standard output stays clean. Nothing from outside can forge a line or move a terminal's
 * cursor: control characters are escaped. Redacted values never print, and a secret of the configuration that reached a
 * line all the same, in the message of a driver's error say, is struck out.
 */
import { Effect, Layer, Logger, type LogLevel, Redacted, References } from "effect"
import { format, formatJson } from "effect/Formatter"
import manifest from "../package.json" with { type: "json" }
import { AppConfig, type Config } from "./config.ts"

/** Shorter secrets are not looked for in lines: they would strike out words that mean nothing. */
const minimumSecretLength = 8

const levels = { debug: "Debug", info: "Info", warn: "Warn", error: "Error" } as const satisfies Record<
  Config["logging"]["level"],
  LogLevel.LogLevel
>

export const Telemetry = {
  /** The one logger of the program, by `logging.format`, from `logging.level` on. */
  layer: Layer.unwrap(
    Effect.gen(function* () {
      const config = yield* AppConfig
      const strike = strikeOut(secretsOf(config))
      const render = config.logging.format === "json" ? jsonLine(config.app.name) : textLines
      return Layer.mergeAll(
        Logger.layer([
          Logger.withConsoleError(Logger.map(Logger.formatStructured, (record) => strike(render(record))))
        ]),
        Layer.succeed(References.MinimumLogLevel, levels[config.logging.level])
      )
    })
  )
}

/** Of this release. */
export const { version } = manifest

/** Names of the metrics at /metrics. Those of orders are counted from the log, never from memory. */
export const metricNames = {
  ordersTotal: "orders_total",
  ordersProcessing: "orders_processing",
  ordersCompleted: "orders_completed",
  ordersFailed: "orders_failed",
  ordersCancelled: "orders_cancelled",
  ordersUnknown: "nexus_orders_unknown",
  ordersUnknownAge: "nexus_orders_unknown_age_seconds",
  lateEvidence: "nexus_orders_late_evidence_total",
  outboxBacklog: "nexus_outbox_backlog",
  logBroken: "nexus_log_broken",
  outboxLag: "nexus_outbox_lag_seconds",
  executorReady: "nexus_executor_ready",
  dueScanHits: "nexus_executor_due_scan_hits_total",
  cachedOrders: "nexus_engine_cached_orders",
  waitingCommands: "nexus_engine_waiting_commands",
  clockOffset: "nexus_exchange_clock_offset_seconds",
  clockError: "nexus_exchange_clock_error_seconds",
  circuitOpen: "nexus_exchange_circuit_open",
  streamAway: "nexus_user_stream_away_seconds",
  exchangeWait: "nexus_exchange_wait_seconds",
  exchangeStopped: "nexus_exchange_stopped_seconds",
  exchangeLimit: "nexus_exchange_limit",
  exchangeUsed: "nexus_exchange_limit_used",
  exchangeShareAge: "nexus_exchange_share_age_seconds",
  loopRestarts: "nexus_loop_restarts_total",
  loopHeartbeatAge: "nexus_loop_heartbeat_age_seconds",
  buildInfo: "nexus_build_info",
  leaseHeld: "nexus_lease_held",
  roleReplicas: "nexus_role_replicas"
} as const

type Entry = ReturnType<(typeof Logger.formatStructured)["log"]>

/** The words of a record, and the fields that came beside them or by annotation. */
const partsOf = ({ annotations, message }: Entry) => {
  const words: Array<string> = []
  const fields: { [name: string]: unknown } = { ...annotations }
  for (const part of Array.isArray(message) ? message : [message]) {
    if (typeof part === "object" && part !== null && !Array.isArray(part)) Object.assign(fields, part)
    else words.push(typeof part === "string" ? part : format(part))
  }
  return { words: words.join(" "), fields }
}

const jsonLine =
  (app: string) =>
  (record: Entry): string => {
    const { fields, words } = partsOf(record)
    const own = {
      time: record.timestamp,
      level: record.level.toLowerCase(),
      message: words,
      app,
      ...(Object.keys(record.spans).length > 0 ? { spans_ms: record.spans } : {}),
      ...(record.cause === undefined ? {} : { cause: record.cause })
    }
    // Twice: once for their place at the front, once so that no field takes the place of the time, level or message.
    return escapeControls(formatJson({ ...own, ...fields, ...own }))
  }

const textLines = (record: Entry): string => {
  const { fields, words } = partsOf(record)
  const pairs = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : formatJson(value)}`
  )
  const spans = Object.entries(record.spans).map(([name, ms]) => `${name}=${ms}ms`)
  const head = escapeControls(
    [record.timestamp.slice(11, 23), record.level.padEnd(5), words, ...pairs, ...spans].join(" ")
  )
  // A line of a cause is indented, so none of them can pass for a record of its own.
  const below = (record.cause ?? "").split("\n").map((line) => `\n    ${escapeControls(line)}`)
  return record.cause === undefined ? head : head + below.join("")
}

// oxlint-disable-next-line no-control-regex -- control characters are what this is about
const controls = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g

const escapeControls = (line: string) =>
  line.replace(controls, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)

const secretsOf = ({ binance, connections, database }: Config): ReadonlyArray<string> =>
  [
    binance.testnet.api_key,
    binance.testnet.api_secret,
    database.url,
    database.migrate_url,
    database.password,
    connections.serving.password,
    connections.migrating.password
  ]
    .map(Redacted.value)
    .filter((secret) => secret.length >= minimumSecretLength)
    // In a line of JSON, quotes and backslashes of a secret stand escaped.
    .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)])

const strikeOut = (secrets: ReadonlyArray<string>) => (line: string) =>
  secrets.reduce((rest, secret) => (rest.includes(secret) ? rest.replaceAll(secret, "<redacted>") : rest), line)
