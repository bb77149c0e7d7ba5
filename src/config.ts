/**
 * The configuration: config.yaml, then .env, then the environment, the later one winning, decoded once at start.
 *
 * Every key stands in `keys` with its schema, the rule it breaks in words, and its default; every key can be set by
 * `NEXUS_` and its path in capitals. All faults are reported together, by path, and a fault never shows a secret.
 * The only place that reads `process.env`. What the keys mean to the running parts is theirs; units and reasons stand
 * in config.yaml.
 */
import { Context, Effect, Redacted, Result, Schema, SchemaTransformation } from "effect"
import { readFile } from "node:fs/promises"
import { resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { parseEnv } from "node:util"
import { parseDocument } from "yaml"

/** Milliseconds in a day: the longest any interval, age or time-out may be. */
const dayMs = 86_400_000
/** The exchange itself gives up on a request after 10 s; a client that leaves sooner makes doubt out of slowness. */
const exchangeTimeoutMs = 10_000
/** What must be typed, beside `allow_production: true`, before an order can cost money. */
const confirmation = "I trade real money"
/** δ (how far clocks may differ) and T (how stale an answer may be), per kind of exchange. */
const usualMargins = {
  TESTNET: { delta_ms: 10_000, staleness_ms: 60_000 },
  SIMULATOR: { delta_ms: 1_000, staleness_ms: 1_000 }
} as const
const testnetWsApiUrl = "wss://ws-api.testnet.binance.vision/ws-api/v3"

/** One setting. Every source gives text: the YAML is read without types, so "8080" and 8080 are one thing. */
class Key<A> {
  readonly schema: Schema.Codec<A, string>
  readonly rule: string
  readonly byDefault: string
  readonly kind: "one" | "list" | "secret"
  constructor(
    schema: Schema.Codec<A, string>,
    rule: string,
    byDefault: string,
    kind: "one" | "list" | "secret" = "one"
  ) {
    this.schema = schema
    this.rule = rule
    this.byDefault = byDefault
    this.kind = kind
  }
}

const Whole = Schema.String.check(Schema.isPattern(/^\d{1,15}$/)).pipe(
  Schema.decodeTo(Schema.Int, SchemaTransformation.transform({ decode: Number, encode: String }))
)
const Items = Schema.String.pipe(
  Schema.decodeTo(
    Schema.Array(Schema.String),
    SchemaTransformation.transform({
      decode: (line: string): ReadonlyArray<string> =>
        line
          .split(",")
          .map((item) => item.trim())
          .filter((item) => item !== ""),
      encode: (items: ReadonlyArray<string>) => items.join(",")
    })
  )
)
const whole = (minimum: number, maximum: number, byDefault: number) =>
  new Key(
    Whole.check(Schema.isBetween({ minimum, maximum })),
    `must be a whole number from ${minimum} to ${maximum}`,
    `${byDefault}`
  )
const wholeOrEmpty = (minimum: number, maximum: number) =>
  new Key(
    Schema.Union([
      Schema.Literal("").pipe(
        Schema.decodeTo(
          Schema.Undefined,
          SchemaTransformation.transform({ decode: () => undefined, encode: () => "" as const })
        )
      ),
      Whole.check(Schema.isBetween({ minimum, maximum }))
    ]),
    `must be empty or a whole number from ${minimum} to ${maximum}`,
    ""
  )
const flag = (byDefault: boolean) =>
  new Key(
    Schema.Literals(["true", "false"]).pipe(
      Schema.decodeTo(
        Schema.Boolean,
        SchemaTransformation.transform({
          decode: (text) => text === "true",
          encode: (value): "true" | "false" => (value ? "true" : "false")
        })
      )
    ),
    "must be true or false",
    `${byDefault}`
  )
const oneOf = <const L extends ReadonlyArray<string>>(choices: L, byDefault: L[number]) =>
  new Key<L[number]>(Schema.Literals(choices), `must be one of ${choices.join(", ")}`, byDefault)
const text = (byDefault: string) => new Key(Schema.String.check(Schema.isPattern(/\S/)), "must not be empty", byDefault)
const textOrEmpty = (byDefault: string) => new Key(Schema.String, "must be text", byDefault)
const named = (pattern: RegExp, byDefault: string) =>
  new Key(Schema.String.check(Schema.isPattern(pattern)), `must match ${pattern.source}`, byDefault)
const secret = (byDefault: string) =>
  new Key(Schema.RedactedFromValue(Schema.String), "must be text", byDefault, "secret")
const address = (schemes: ReadonlyArray<string>, byDefault: string) =>
  new Key(
    Schema.String.check(
      Schema.makeFilter((value: string) => {
        const url = URL.parse(value)
        return (
          url !== null && schemes.includes(url.protocol) && url.username === "" && url.search === "" && url.hash === ""
        )
      })
    ).pipe(
      // Paths are appended to it, so a slash at its end would be there twice.
      Schema.decodeTo(
        Schema.String,
        SchemaTransformation.transform({ decode: (value) => value.replace(/\/+$/, ""), encode: (value) => value })
      )
    ),
    `must be an address that begins with ${schemes.map((scheme) => `${scheme}//`).join(" or ")}`,
    byDefault
  )

const roleNames = ["api", "relay", "executor", "reports", "reconciler", "auditor", "simulator"] as const
export type Role = (typeof roleNames)[number]
const sslModes = ["disable", "require", "verify-ca", "verify-full"] as const
type SslMode = (typeof sslModes)[number]

const keys = {
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
    interval_ms: whole(100, dayMs, 30_000),
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

interface Section {
  readonly [name: string]: Key<unknown> | Section
}
type Decoded<T> = { readonly [K in keyof T]: T[K] extends Key<infer A> ? A : Decoded<T[K]> }
/** The keys as they are named in config.yaml, decoded. */
type Sections = Decoded<typeof keys>

/** Which parts this process brings itself ("embedded") and which it finds at an address ("server"). */
export interface Parts {
  readonly database: "embedded" | "server"
  readonly kafka: "embedded" | "server"
  readonly exchange: "SIMULATOR" | "TESTNET"
  readonly exchangeEmbedded: boolean
  /** Asked for twice: what the exchange executes costs money, whatever `exchange` is called. */
  readonly realMoney: boolean
}

/** Where PostgreSQL is, as a driver wants it: `host` may be the folder of a Unix socket. */
export interface DatabaseTarget {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password: Redacted.Redacted
  readonly database: string
  readonly ssl_mode: SslMode
  /** Options of `tls.connect`: "require" encrypts, "verify-ca" asks who signed, "verify-full" also whom it names. */
  readonly tls: false | { readonly rejectUnauthorized: boolean; readonly checkServerIdentity?: () => undefined }
}

export interface Config extends Omit<Sections, "kafka"> {
  readonly kafka: Omit<Sections["kafka"], "create_topics"> & { readonly create_topics: boolean }
  readonly parts: Parts
  /** δ and T of the order protocol, by the kind of exchange unless `binance.delta_ms` or `staleness_ms` say else. */
  readonly margins: { readonly delta_ms: number; readonly staleness_ms: number }
  /** Only meant when `parts.database` is "server". `migrating` is `serving` unless `database.migrate_url` is given. */
  readonly connections: { readonly serving: DatabaseTarget; readonly migrating: DatabaseTarget }
}

export interface Fault {
  readonly path: string
  readonly rule: string
  /** What was found, fit to print; never a secret. */
  readonly found: string
}

/** The configuration cannot be used. The message names every fault, one a line. */
export class ConfigFaults extends Schema.TaggedError<ConfigFaults>()("ConfigFaults", {
  faults: Schema.Array(Schema.Struct({ path: Schema.String, rule: Schema.String, found: Schema.String }))
}) {
  override get message() {
    return this.faults.map(({ path, rule, found }) => `${path} ${rule}; found ${found}`).join("\n")
  }
}

export interface ConfigInput {
  readonly yamlText: string
  readonly dotEnvText?: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** `app.data_dir` is meant from here. */
  readonly cwd: string
}

export class AppConfig extends Context.Service<AppConfig, Config>()("nexus/config/AppConfig") {
  /** The configuration of this process: config.yaml beside package.json, or the file that NEXUS_CONFIG names. */
  static readonly fromProcess = Effect.fnUntraced(function* (options: { readonly readDotEnv: boolean }) {
    const cwd = process.cwd()
    const dotEnvText = options.readDotEnv ? yield* readText(resolve(cwd, ".env"), "") : ""
    const chosen = process.env.NEXUS_CONFIG ?? parseEnv(dotEnvText).NEXUS_CONFIG
    const path = chosen ? resolve(cwd, chosen) : fileURLToPath(new URL("../config.yaml", import.meta.url))
    const yamlText = yield* readText(path, undefined)
    return yield* Effect.fromResult(loadConfig({ yamlText, dotEnvText, env: process.env, cwd }))
  })
}

/** The key pair of the simulator's account, for the simulator alone: from the environment, never from .env. */
export const simulatorKeys = Effect.suspend(() => {
  const { BINANCE_TESTNET_API_KEY: apiKey = "", BINANCE_TESTNET_API_SECRET: apiSecret = "" } = process.env
  const faults = [
    ["BINANCE_TESTNET_API_KEY", apiKey],
    ["BINANCE_TESTNET_API_SECRET", apiSecret]
  ]
    .filter(([, value]) => value === "")
    .map(([path = ""]) => ({
      path,
      rule: "must be set: it is the key pair of the simulator's account",
      found: "nothing"
    }))
  return faults.length > 0
    ? Effect.fail(new ConfigFaults({ faults }))
    : Effect.succeed({ apiKey: Redacted.make(apiKey), apiSecret: Redacted.make(apiSecret) })
})

class FileFault extends Schema.TaggedError<FileFault>()("FileFault", { code: Schema.String }) {}

const readText = (path: string, whenAbsent: string | undefined) =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) =>
      new FileFault({
        code: cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "an error"
      })
  }).pipe(
    Effect.catchTag("FileFault", ({ code }) =>
      code === "ENOENT" && whenAbsent !== undefined
        ? Effect.succeed(whenAbsent)
        : Effect.fail(new ConfigFaults({ faults: [{ path, rule: "must be a readable file", found: code }] }))
    )
  )

/** Decodes everything and reports every fault. Pure: no file, no environment but the one given. */
export const loadConfig = (input: ConfigInput): Result.Result<Config, ConfigFaults> => {
  // Merged before anything is looked at, so that an empty variable of the environment also hides the one in .env.
  const variables: Record<string, string | undefined> = { ...parseEnv(input.dotEnvText ?? ""), ...input.env }
  const faults = unknownVariables(variables)
  const document = parseDocument(input.yamlText, { schema: "failsafe" })
  // The parser's own message quotes the line, and the line may hold a secret.
  for (const { code, linePos } of document.errors) {
    faults.push({ path: `config.yaml line ${linePos?.[0].line ?? 1}`, rule: "must be YAML", found: code })
  }
  if (document.errors.length > 0) return Result.fail(new ConfigFaults({ faults }))

  const given = new Map<string, string>()
  readSection(document.toJS(), keys, "", given, faults)
  const leaves = [...leavesOf(keys, "")].map(([path, key]) => leafOf(path, key, given, variables))
  const broken = new Set(faults.map(({ path }) => path))
  const secrets = leaves.flatMap(({ key, value }) => (key.kind === "secret" && value.length >= 4 ? [value] : []))
  const values = new Map<string, unknown>()
  for (const leaf of leaves) {
    const decode = Schema.decodeUnknownResult(leaf.key.schema)
    const decoded = decode(leaf.value)
    if (Result.isFailure(decoded)) {
      broken.add(leaf.path)
      faults.push({ path: leaf.path, rule: leaf.key.rule, found: shown(leaf, secrets) })
    }
    // The rules between keys are asked all the same, of the default in the place of what cannot be read.
    const value = Result.getOrElse(decoded, () => Result.getOrThrow(decode(interpolate(leaf.key.byDefault, {}))))
    values.set(leaf.path, value)
  }
  const overridden = new Set(leaves.flatMap(({ path, source }) => (source.startsWith("NEXUS_") ? [path] : [])))
  // The tree is built from `keys`, leaf by leaf, and that is what `Sections` is computed from.
  const sections = treeOf(keys, values, "") as Sections
  const config = derive(sections, input.cwd, variables, overridden, (path, rule, found, also = []) => {
    if ([path, ...also].some((each) => broken.has(each))) return
    faults.push({ path, rule, found: secrets.some((each) => found.includes(each)) ? notShown : quoted(found) })
  })
  return faults.length === 0 ? Result.succeed(config) : Result.fail(new ConfigFaults({ faults }))
}

interface Leaf {
  readonly path: string
  readonly key: Key<unknown>
  readonly value: string
  /** Where it came from, as a user would look for it. */
  readonly source: string
}

const variableOf = (path: string) => `NEXUS_${path.replaceAll(".", "_").toUpperCase()}`

function* leavesOf(section: Section, prefix: string): Generator<readonly [string, Key<unknown>]> {
  for (const [name, entry] of Object.entries(section)) {
    if (entry instanceof Key) yield [`${prefix}${name}`, entry]
    else yield* leavesOf(entry, `${prefix}${name}.`)
  }
}

/** Names that begin with NEXUS_ and set nothing are a slip of the pen, except what tools and Kubernetes bring. */
const unknownVariables = (variables: Readonly<Record<string, string | undefined>>): Array<Fault> => {
  const known = new Set([...leavesOf(keys, "")].map(([path]) => variableOf(path)))
  // Kubernetes sets NEXUS_SERVICE_HOST, NEXUS_PORT=tcp://… and the like for a Service whose name begins with "nexus".
  const foreign = /^NEXUS_(CONFIG$|TEST_|BENCH_|([A-Z0-9_]+_)?SERVICE_(HOST|PORT)|([A-Z0-9_]+_)?PORT_\d+_(TCP|UDP))/
  return Object.entries(variables)
    .filter(
      ([name, value]) =>
        name.startsWith("NEXUS_") && !known.has(name) && !foreign.test(name) && !/^(tcp|udp):/.test(value ?? "")
    )
    .map(([name]) => ({
      path: name,
      rule: "must be NEXUS_ and the path of a key of config.yaml",
      found: "no such key"
    }))
}

const readSection = (
  node: unknown,
  section: Section,
  prefix: string,
  given: Map<string, string>,
  faults: Array<Fault>
) => {
  if (node === null || node === "") return
  if (typeof node !== "object" || Array.isArray(node)) {
    faults.push({ path: prefix.slice(0, -1) || "config.yaml", rule: "must be a section of keys", found: "a value" })
    return
  }
  for (const [name, value] of Object.entries(node)) {
    const path = `${prefix}${name}`
    const entry = Object.hasOwn(section, name) ? section[name] : undefined
    // The value of a key we do not know may be a secret under a misspelt name: it is not shown.
    if (entry === undefined)
      faults.push({ path: quoted(path).slice(1, -1), rule: "must be a known key", found: "no such key" })
    else if (!(entry instanceof Key)) readSection(value, entry, `${path}.`, given, faults)
    else if (typeof value === "string") given.set(path, value)
    else if (entry.kind === "list" && Array.isArray(value) && value.every((item) => typeof item === "string")) {
      given.set(path, value.join(","))
    } else faults.push({ path, rule: entry.rule, found: Array.isArray(value) ? "a list" : "a section" })
  }
}

const leafOf = (
  path: string,
  key: Key<unknown>,
  given: ReadonlyMap<string, string>,
  variables: Readonly<Record<string, string | undefined>>
): Leaf => {
  const variable = variableOf(path)
  // An empty variable says nothing, as in ${NAME:-default}: compose files pass empty ones on.
  const override = variables[variable]
  if (override) return { path, key, value: override, source: variable }
  const raw = given.get(path) ?? key.byDefault
  return { path, key, value: interpolate(raw, variables), source: raw }
}

const interpolate = (raw: string, variables: Readonly<Record<string, string | undefined>>) =>
  raw.replace(
    /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
    (_, name: string, byDefault?: string) => variables[name] || (byDefault ?? "")
  )

const treeOf = (section: Section, values: ReadonlyMap<string, unknown>, prefix: string): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(section).map(([name, entry]) => [
      name,
      entry instanceof Key ? values.get(`${prefix}${name}`) : treeOf(entry, values, `${prefix}${name}.`)
    ])
  )

const notShown = "a value that is not shown"

/** What was found, with its source, unless it is or may be a secret. */
const shown = ({ key, source, value }: Leaf, secrets: ReadonlyArray<string>) => {
  const names = source.startsWith("NEXUS_") ? [source] : [...source.matchAll(/\$\{(\w+)/g)].map(([, name]) => name)
  const from = names.length === 0 ? "" : ` from ${names.join(", ")}`
  const hidden =
    key.kind === "secret" ||
    secrets.some((each) => value.includes(each)) ||
    names.some((name) => /KEY|SECRET|PASS|TOKEN|_URL$/.test(name ?? "") && !source.startsWith("NEXUS_"))
  return `${hidden ? notShown : quoted(value)}${from}`
}

/** In quotes, short, without credentials of an address, and with nothing that moves a terminal's cursor. */
const quoted = (value: string) =>
  JSON.stringify(value.replace(/\/\/\S*@/, "//…@").slice(0, 100)).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

type Reject = (path: string, rule: string, found: string, also?: ReadonlyArray<string>) => void

/** What follows from the keys together, and the rules between them. */
const derive = (
  c: Sections,
  cwd: string,
  variables: Readonly<Record<string, string | undefined>>,
  overridden: ReadonlySet<string>,
  reject: Reject
): Config => {
  const { binance, database, kafka } = c
  const testnet = binance.testnet
  const hasUrl = Redacted.value(database.url) !== ""
  const hasKey = Redacted.value(testnet.api_key) !== ""
  const private_key_file = fileAt(cwd, testnet.private_key_file)
  const hasSecret = Redacted.value(testnet.api_secret) !== "" || private_key_file !== ""
  const hasBrokers = Boolean(variables.KAFKA_BROKERS) || overridden.has("kafka.brokers")
  const exchangeEmbedded = placed(binance.mode, hasKey && hasSecret) === "embedded"
  const onLoopback = isLoopback(new URL(testnet.base_url).hostname)
  const exchange =
    binance.exchange !== "auto" ? binance.exchange : exchangeEmbedded || onLoopback ? "SIMULATOR" : "TESTNET"
  const usual = usualMargins[exchange]
  const ws_api_url = wsApiUrl(testnet)
  const parts: Parts = {
    database: placed(database.mode, hasUrl),
    kafka: placed(kafka.mode, hasBrokers),
    exchange,
    exchangeEmbedded,
    realMoney: !exchangeEmbedded && [testnet.base_url, ws_api_url].some((each) => isProduction(new URL(each).hostname))
  }
  const ownSslMode = overridden.has("database.ssl_mode") ? database.ssl_mode : undefined
  // An address that is not used may be anything.
  const rejectTarget: Reject = parts.database === "server" ? reject : () => undefined
  const serving = targetOf(database, "url", ownSslMode, rejectTarget)
  const hasMigrateUrl = Redacted.value(database.migrate_url) !== ""
  const config: Config = {
    ...c,
    app: {
      ...c.app,
      data_dir: resolve(cwd, c.app.data_dir),
      // The simulator is a role only where it is a part of this program.
      roles: c.app.roles.filter((role) => role !== "simulator" || exchangeEmbedded)
    },
    database: { ...database, ssl_mode: serving.ssl_mode },
    binance: { ...binance, testnet: { ...testnet, private_key_file, ws_api_url } },
    kafka: {
      ...kafka,
      tls: {
        ...kafka.tls,
        ca_file: fileAt(cwd, kafka.tls.ca_file),
        cert_file: fileAt(cwd, kafka.tls.cert_file),
        key_file: fileAt(cwd, kafka.tls.key_file)
      },
      create_topics:
        kafka.create_topics === "auto" ? c.app.environment !== "production" : kafka.create_topics === "true"
    },
    audit: { ...c.audit, anchor_file: anchorFile(c, parts, cwd) },
    parts,
    margins: {
      delta_ms: binance.delta_ms ?? usual.delta_ms,
      staleness_ms: binance.staleness_ms ?? usual.staleness_ms
    },
    connections: {
      serving,
      migrating: hasMigrateUrl ? targetOf(database, "migrate_url", ownSslMode, rejectTarget) : serving
    }
  }
  rejectExchange(config, { hasKey, hasSecret }, reject)
  rejectRoles(config, c.app.roles, reject)
  rejectProduction(config, variables, reject)
  rejectNumbers(config, reject)
  if (parts.kafka === "server") rejectKafkaAccess(config.kafka, reject)
  return config
}

const fileAt = (cwd: string, path: string) => (path === "" ? "" : resolve(cwd, path))

/** Beside the data of a PostgreSQL that is our own; the folder of another one is not ours to know. */
const anchorFile = ({ app, audit }: Sections, parts: Parts, cwd: string): string => {
  if (audit.anchor_file !== "auto") return fileAt(cwd, audit.anchor_file)
  return parts.database === "server" ? "" : resolve(cwd, app.data_dir, parts.exchange.toLowerCase(), "anchor.json")
}

/** `auto` is "server" exactly when an address, or what stands for one, is given. */
const placed = (mode: "auto" | "embedded" | "server", isGiven: boolean) =>
  mode === "auto" ? (isGiven ? "server" : "embedded") : mode

const tlsOf: { readonly [M in SslMode]: DatabaseTarget["tls"] } = {
  disable: false,
  require: { rejectUnauthorized: false },
  "verify-ca": { rejectUnauthorized: true, checkServerIdentity: () => undefined },
  "verify-full": { rejectUnauthorized: true }
}

/** The address of a URL, or of the keys without one. What the URL leaves out, but for the password, the keys say. */
const targetOf = (
  database: Sections["database"],
  which: "url" | "migrate_url",
  ownSslMode: SslMode | undefined,
  reject: Reject
): DatabaseTarget => {
  const path = `database.${which}`
  const given = Redacted.value(database[which])
  const fromKeys: DatabaseTarget = {
    host: database.host,
    port: database.port,
    username: database.username,
    password: database.password,
    database: database.name,
    ssl_mode: database.ssl_mode,
    tls: tlsOf[database.ssl_mode]
  }
  if (given === "") {
    if (Redacted.value(database.password) === "") {
      reject("database.password", "must be given, or database.url instead of it", "")
    }
    return fromKeys
  }
  const url = URL.parse(given)
  const parts =
    url === null
      ? []
      : [url.hostname, url.username, url.password, url.pathname.slice(1)].map((part) =>
          Result.getOrUndefined(Result.try(() => decodeURIComponent(part)))
        )
  const [host, username, password, name] = parts
  if (
    url === null ||
    !/^postgres(ql)?:$/.test(url.protocol) ||
    host === undefined ||
    username === undefined ||
    password === undefined ||
    name === undefined
  ) {
    reject(path, "must be postgres://user:password@host:port/database, special characters as %XX", "something else")
    return fromKeys
  }
  const asked = url.searchParams.get("sslmode")
  const known = sslModes.find((mode) => mode === asked)
  if (asked !== null && known === undefined) reject(path, `must ask for an sslmode of ${sslModes.join(", ")}`, asked)
  const ssl_mode = ownSslMode ?? known ?? database.ssl_mode
  return {
    host: (host.replace(/^\[|\]$/g, "") || url.searchParams.get("host")) ?? database.host,
    port: url.port === "" ? Number(url.searchParams.get("port") ?? 5432) : Number(url.port),
    username: username || database.username,
    password: Redacted.make(password, { label: path }),
    database: name || database.name,
    ssl_mode,
    tls: tlsOf[ssl_mode]
  }
}

/** With another exchange at `base_url`, its WebSocket API is there too unless `ws_api_url` was changed as well. */
const wsApiUrl = ({ base_url, ws_api_url }: Sections["binance"]["testnet"]) => {
  const base = new URL(base_url)
  if (ws_api_url !== testnetWsApiUrl || isBinance(base.hostname)) return ws_api_url
  return `${base.protocol === "https:" ? "wss" : "ws"}://${base.host}${new URL(testnetWsApiUrl).pathname}`
}

const isLoopback = (host: string) => /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)\.?$/i.test(host)
const isBinance = (host: string) => /(^|\.)binance\.(com|us|vision|cloud)\.?$/i.test(host)
/** Every host of Binance that is not the testnet's own: one forgotten in a list would cost money. */
const isProduction = (host: string) => isBinance(host) && !/(^|\.)testnet\.binance\.vision\.?$/i.test(host)

const placeOf = (host: string) =>
  isLoopback(host) ? "loopback" : isProduction(host) ? "production" : isBinance(host) ? "the testnet" : "another host"

const rejectExchange = (
  config: Config,
  has: { readonly hasKey: boolean; readonly hasSecret: boolean },
  reject: Reject
) => {
  const { binance, parts } = config
  const { base_url, enabled, timeout_ms, ws_api_url } = binance.testnet
  if (parts.exchangeEmbedded) {
    if (binance.exchange === "TESTNET") {
      reject(
        "binance.exchange",
        "TESTNET needs both keys of binance.testnet, or binance.mode server",
        "an embedded exchange",
        ["binance.mode"]
      )
    }
    if (binance.mode === "auto" && has.hasKey !== has.hasSecret) {
      const missing = has.hasKey ? "api_secret" : "api_key"
      reject(`binance.testnet.${missing}`, "must be given, since the other half of the pair is", "")
    }
    return
  }
  if (!enabled) {
    reject("binance.testnet.enabled", "must be true, or binance.mode embedded", "false", ["binance.mode"])
  }
  // Only these roles sign requests; a process of others can do without the keys.
  if (config.app.roles.some((role) => role === "executor" || role === "reports" || role === "reconciler")) {
    if (!has.hasKey) reject("binance.testnet.api_key", "must be given: this process signs requests", "")
    if (!has.hasSecret) {
      reject("binance.testnet.api_secret", "or private_key_file must be given: this process signs requests", "")
    }
  }
  for (const [path, given] of [
    ["binance.testnet.base_url", base_url],
    ["binance.testnet.ws_api_url", ws_api_url]
  ] as const) {
    const { hostname, protocol } = new URL(given)
    if (
      /^(http|ws):$/.test(protocol) &&
      !isLoopback(hostname) &&
      (binance.exchange !== "SIMULATOR" || isBinance(hostname))
    ) {
      reject(path, "must be encrypted (https, wss) unless it is on loopback or binance.exchange is SIMULATOR", given)
    }
    if (isProduction(hostname) && !(binance.allow_production && binance.production_confirmed === confirmation)) {
      reject(
        path,
        `is a production host: it needs binance.allow_production true and binance.production_confirmed "${confirmation}"`,
        given
      )
    }
    // The short margins of a simulator would call orders absent that the real exchange still takes.
    if (binance.exchange === "SIMULATOR" && isBinance(hostname)) {
      reject(path, "must not be a host of Binance while binance.exchange is SIMULATOR", given, ["binance.exchange"])
    }
  }
  const places = [base_url, ws_api_url].map((each) => placeOf(new URL(each).hostname))
  // A proxy on this machine may stand before one half of the testnet, when binance.exchange says that it is the testnet.
  const proxied = binance.exchange === "TESTNET" && places.includes("loopback")
  if (places[0] !== places[1] && !proxied) {
    reject(
      "binance.testnet.ws_api_url",
      `must be of the same exchange as binance.testnet.base_url, which is on ${places[0]}`,
      ws_api_url,
      ["binance.testnet.base_url"]
    )
  }
  if (parts.exchange === "TESTNET" && timeout_ms <= exchangeTimeoutMs) {
    reject("binance.testnet.timeout_ms", `must be more than the exchange's own ${exchangeTimeoutMs}`, `${timeout_ms}`)
  }
}

const rejectRoles = (config: Config, asked: ReadonlyArray<Role>, reject: Reject) => {
  const { app, parts } = config
  const absent = (["api", "relay", "executor", "reports", "reconciler"] as const).filter(
    (role) => !app.roles.includes(role)
  )
  if (absent.length > 0 && parts.kafka === "embedded") {
    reject(
      "app.roles",
      `must have ${absent.join(", ")} too, or KAFKA_BROKERS must name a Kafka that joins the processes`,
      asked.join(","),
      ["kafka.mode", "kafka.brokers"]
    )
  }
  const trades = app.roles.some((role) => role === "executor" || role === "reports" || role === "reconciler")
  if (parts.exchangeEmbedded && trades && !app.roles.includes("simulator")) {
    reject("app.roles", "must have simulator too, or both keys of binance.testnet must be given", asked.join(","), [
      "binance.mode"
    ])
  }
}

const rejectProduction = (config: Config, variables: Readonly<Record<string, string | undefined>>, reject: Reject) => {
  const { app, binance, connections, database, kafka, parts } = config
  if (!isLoopback(app.host) && !app.allow_open_host) {
    reject("app.host", "must be on loopback, or app.allow_open_host true: whoever reaches it can trade", app.host, [
      "app.allow_open_host"
    ])
  }
  if (app.environment !== "production") return
  const embedded = [
    ["database.mode", database.mode, parts.database === "embedded", "DATABASE_URL"],
    ["kafka.mode", kafka.mode, parts.kafka === "embedded", "KAFKA_BROKERS"],
    ["binance.mode", binance.mode, parts.exchangeEmbedded, "both keys of binance.testnet"]
  ] as const
  for (const [path, mode, isEmbedded, needed] of embedded) {
    if (isEmbedded && mode !== "embedded") {
      reject(path, `must be embedded by name in production, or ${needed} must be given`, mode, ["app.environment"])
    }
  }
  const plain = [connections.serving, connections.migrating].some(({ tls }) => tls === false)
  if (parts.database === "server" && plain && variables.NEXUS_DATABASE_SSL_MODE !== "disable") {
    reject(
      "database.ssl_mode",
      "must not be disable in production unless NEXUS_DATABASE_SSL_MODE=disable says so",
      "disable",
      ["app.environment"]
    )
  }
}

/** What would be said and not done, and what would be done and should not: a password where anybody can listen. */
const rejectKafkaAccess = (kafka: Config["kafka"], reject: Reject) => {
  const { allow_unencrypted_password, brokers, sasl_mechanism, tls, username } = kafka
  const hasPassword = Redacted.value(kafka.password) !== ""
  if (sasl_mechanism === "none") {
    if (username !== "" || hasPassword) {
      const found = username !== "" ? "a username" : "a password"
      reject("kafka.sasl_mechanism", "must be SCRAM-SHA-256 or SCRAM-SHA-512, or no user be given", found)
    }
  } else {
    if (username === "") reject("kafka.username", `must be given (KAFKA_USERNAME) for ${sasl_mechanism}`, "")
    if (!hasPassword) reject("kafka.password", `must be given (KAFKA_PASSWORD) for ${sasl_mechanism}`, "")
    const beyond = brokers.filter((broker) => !isLoopback(broker.replace(/:\d+$/, "")))
    if (!tls.enabled && !allow_unencrypted_password && beyond.length > 0) {
      reject(
        "kafka.tls.enabled",
        `must be true where a user is sent beyond loopback, or kafka.allow_unencrypted_password true: ` +
          "who listens can try out passwords",
        beyond.join(","),
        ["kafka.allow_unencrypted_password", "kafka.sasl_mechanism", "kafka.brokers"]
      )
    }
  }
  for (const [name, path] of Object.entries({
    ca_file: tls.ca_file,
    cert_file: tls.cert_file,
    key_file: tls.key_file
  })) {
    if (path !== "" && !tls.enabled) {
      reject("kafka.tls.enabled", `must be true, or kafka.tls.${name} empty`, "false", [`kafka.tls.${name}`])
    }
  }
  if (!tls.verify_server_name && !tls.enabled) {
    reject("kafka.tls.enabled", "must be true, or kafka.tls.verify_server_name too", "false", [
      "kafka.tls.verify_server_name"
    ])
  }
  if ((tls.cert_file === "") !== (tls.key_file === "")) {
    const missing = tls.cert_file === "" ? "cert_file" : "key_file"
    reject(`kafka.tls.${missing}`, "must be given, since the other half of the pair is", "")
  }
}

const rejectNumbers = (config: Config, reject: Reject) => {
  const { binance, database, execution, http, kafka, leases, margins, supervision } = config
  const wait = binance.testnet.recv_window_ms + margins.delta_ms + margins.staleness_ms
  const atMost = (path: string, value: number, limitPath: string, limit: number) => {
    if (value > limit) reject(path, `must not exceed ${limitPath} (${limit})`, `${value}`, [limitPath])
  }
  if (execution.max_age_ms <= wait) {
    reject(
      "execution.max_age_ms",
      `must exceed recv_window_ms + delta_ms + staleness_ms (${wait}), the wait before an attempt counts as absent`,
      `${execution.max_age_ms}`,
      ["binance.testnet.recv_window_ms", "binance.delta_ms", "binance.staleness_ms"]
    )
  }
  atMost("database.max_idle_conns", database.max_idle_conns, "database.max_open_conns", database.max_open_conns)
  atMost("http.headers_timeout_ms", http.headers_timeout_ms, "http.request_timeout_ms", http.request_timeout_ms)
  atMost(
    "supervision.restart_min_ms",
    supervision.restart_min_ms,
    "supervision.restart_max_ms",
    supervision.restart_max_ms
  )
  atMost("kafka.min_insync_replicas", kafka.min_insync_replicas, "kafka.replication_factor", kafka.replication_factor)
  if (leases.renew_ms * 2 > leases.ttl_ms) {
    reject(
      "leases.renew_ms",
      `must be at most half of leases.ttl_ms (${leases.ttl_ms}), so that one lost renewal loses no lease`,
      `${leases.renew_ms}`,
      ["leases.ttl_ms"]
    )
  }
  if (kafka.topics.orders === kafka.topics.events) {
    reject("kafka.topics.events", "must differ from kafka.topics.orders", kafka.topics.events, ["kafka.topics.orders"])
  }
}
