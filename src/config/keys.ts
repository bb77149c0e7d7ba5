/**
 * Every key there is, in the order of config.yaml. What the keys mean to the running parts is theirs; units and
 * reasons stand in config.yaml, rules between keys in the files `reject….ts`.
 *
 * `Sections`, the decoded tree, is computed from this table, so that a key cannot be named in one place only.
 */
import { Schema } from "effect"
import { address, flag, Items, Key, named, oneOf, secret, text, textOrEmpty, whole, wholeOrEmpty } from "./Key.ts"

/** Milliseconds in a day: the longest any interval, age or time-out may be. */
const dayMs = 86_400_000

/** Where the testnet takes WebSocket requests; as long as it stands unchanged, it follows `base_url`. */
export const testnetWsApiUrl = "wss://ws-api.testnet.binance.vision/ws-api/v3"

const roleNames = ["api", "relay", "executor", "reports", "reconciler", "auditor", "simulator"] as const
export type Role = (typeof roleNames)[number]
export const sslModes = ["disable", "require", "verify-ca", "verify-full"] as const
export type SslMode = (typeof sslModes)[number]

export const keys = {
  app: {
    name: text("nexus-order-manager"),
    environment: oneOf(["development", "production", "test"], "development"),
    host: text("127.0.0.1"),
    port: whole(0, 65_535, 8080),
    data_dir: text(".nexus"),
    roles: new Key<ReadonlyArray<Role>>(
      Items.pipe(Schema.decodeTo(Schema.NonEmptyArray(Schema.Literals(roleNames)).check(Schema.isUnique()))),
      `must name one or more of ${roleNames.join(", ")}, each once`,
      roleNames.join(","),
      "list"
    ),
    allow_open_host: flag(false)
  },
  database: {
    mode: oneOf(["auto", "embedded", "server"], "auto"),
    url: secret("${DATABASE_URL:-}"),
    host: text("localhost"),
    port: whole(1, 65_535, 5432),
    username: text("nexus"),
    password: secret("secure_password"),
    name: text("nexus_trading"),
    max_open_conns: whole(2, 1_000, 25),
    max_idle_conns: whole(0, 1_000, 5),
    appends_in_flight: whole(1, 256, 2),
    ssl_mode: oneOf(sslModes, "disable"),
    migrate: flag(true),
    migrate_url: secret(""),
    lanes: whole(1, 256, 4),
    statement_timeout_ms: whole(100, 600_000, 5_000),
    lock_timeout_ms: whole(100, 600_000, 2_000),
    idle_in_transaction_timeout_ms: whole(100, 600_000, 2_000),
    embedded_port: whole(0, 65_535, 0)
  },
  binance: {
    mode: oneOf(["auto", "embedded", "server"], "auto"),
    exchange: oneOf(["auto", "SIMULATOR", "TESTNET"], "auto"),
    allow_production: flag(false),
    production_confirmed: textOrEmpty(""),
    delta_ms: wholeOrEmpty(0, 600_000),
    staleness_ms: wholeOrEmpty(0, 600_000),
    stream_silence_ms: whole(1_000, 600_000, 75_000),
    testnet: {
      enabled: flag(true),
      api_key: secret("${BINANCE_TESTNET_API_KEY:-}"),
      api_secret: secret("${BINANCE_TESTNET_API_SECRET:-}"),
      private_key_file: textOrEmpty(""),
      base_url: address(["https:", "http:"], "https://testnet.binance.vision"),
      ws_api_url: address(["wss:", "ws:"], testnetWsApiUrl),
      order_transport: oneOf(["rest", "websocket"], "rest"),
      recv_window_ms: whole(1, 60_000, 5_000),
      timeout_ms: whole(100, 120_000, 15_000)
    }
  },
  kafka: {
    mode: oneOf(["auto", "embedded", "server"], "auto"),
    brokers: new Key(
      Items.pipe(
        Schema.decodeTo(
          Schema.NonEmptyArray(Schema.String.check(Schema.isPattern(/^[^\s:/@]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/)))
        )
      ),
      "must be one or more of host:port",
      "${KAFKA_BROKERS:-localhost:9092}",
      "list"
    ),
    consumer_group: named(/^[A-Za-z0-9._-]{1,200}$/, "nexus-order-workers"),
    topics: {
      orders: named(/^[A-Za-z0-9._-]{1,200}$/, "nexus.orders"),
      events: named(/^[A-Za-z0-9._-]{1,200}$/, "nexus.events")
    },
    sasl_mechanism: oneOf(["none", "SCRAM-SHA-256", "SCRAM-SHA-512"], "none"),
    username: textOrEmpty("${KAFKA_USERNAME:-}"),
    password: secret("${KAFKA_PASSWORD:-}"),
    allow_unencrypted_password: flag(false),
    tls: {
      enabled: flag(false),
      ca_file: textOrEmpty(""),
      cert_file: textOrEmpty(""),
      key_file: textOrEmpty(""),
      verify_server_name: flag(true)
    },
    create_topics: oneOf(["auto", "true", "false"], "auto"),
    replication_factor: whole(1, 32, 1),
    min_insync_replicas: whole(1, 32, 1),
    retention_ms: whole(60_000, 3_650 * dayMs, 7 * dayMs)
  },
  outbox: {
    poll_interval_ms: whole(10, 60_000, 500),
    batch_size: whole(1, 10_000, 100),
    max_backlog: whole(1, 1_000_000_000, 10_000_000)
  },
  engine: {
    mailbox_size: whole(1, 100_000, 256),
    cached_orders: whole(1, 1_000_000, 4_096),
    command_deadline_ms: whole(100, 600_000, 8_000),
    lane_queue_size: whole(1, 1_000_000, 4_096)
  },
  execution: {
    workers: whole(1, 1_024, 96),
    ready_set_size: whole(1, 1_000_000, 1_024),
    pickup_after_ms: whole(100, dayMs, 2_000),
    max_age_ms: whole(1_000, dayMs, 120_000),
    due_scan_interval_ms: whole(10, 600_000, 500),
    due_scan_batch: whole(1, 10_000, 256),
    cancel_workers: whole(1, 256, 4),
    repeat_backoff_ms: whole(1, 600_000, 500)
  },
  reconciler: {
    interval_ms: whole(100, dayMs, 25_000),
    doubt_check_ms: whole(10, 600_000, 1_000),
    snapshot_refresh_ms: whole(1_000, dayMs, 3_600_000)
  },
  leases: { ttl_ms: whole(500, 600_000, 3_000), renew_ms: whole(50, 60_000, 500) },
  http: {
    max_body_bytes: whole(1_024, 16_777_216, 65_536),
    max_connections: whole(1, 1_000_000, 4_096),
    request_timeout_ms: whole(100, 600_000, 10_000),
    headers_timeout_ms: whole(100, 600_000, 5_000),
    keep_alive_timeout_ms: whole(100, 600_000, 5_000),
    drain_ms: whole(0, 600_000, 5_000)
  },
  supervision: {
    max_defects: whole(1, 10_000, 10),
    defect_window_ms: whole(1_000, dayMs, 600_000),
    restart_min_ms: whole(1, 600_000, 200),
    restart_max_ms: whole(1, dayMs, 30_000)
  },
  simulator: {
    seed: whole(0, 4_294_967_295, 7),
    latency_ms: whole(0, 60_000, 0),
    limits: oneOf(["off", "real"], "off"),
    tick_ms: whole(0, 60_000, 250)
  },
  audit: { anchor_file: textOrEmpty("auto"), anchor_interval_ms: whole(100, dayMs, 5_000) },
  logging: { level: oneOf(["debug", "info", "warn", "error"], "info"), format: oneOf(["json", "text"], "json") }
}

export interface Section {
  readonly [name: string]: Key<unknown> | Section
}
type Decoded<T> = { readonly [K in keyof T]: T[K] extends Key<infer A> ? A : Decoded<T[K]> }
/** The keys as they are named in config.yaml, decoded. */
export type Sections = Decoded<typeof keys>
