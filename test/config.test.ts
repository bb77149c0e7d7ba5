/** The configuration: every key, every source, every rule between keys, and that no fault shows a secret. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Result } from "effect"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import { parse } from "yaml"
import { AppConfig, type Config, type ConfigInput, loadConfig } from "../src/config.ts"

const shipped = readFileSync(new URL("../config.yaml", import.meta.url), "utf8")
const base: ConfigInput = { yamlText: shipped, env: {}, cwd: "/work" }

const load = (input: Partial<ConfigInput> = {}): Config => Result.getOrThrow(loadConfig({ ...base, ...input }))
const faultsOf = (input: Partial<ConfigInput> = {}) => {
  const result = loadConfig({ ...base, ...input })
  return Result.isFailure(result) ? result.failure.faults : []
}
const pathsOf = (input: Partial<ConfigInput>) => faultsOf(input).map(({ path }) => path)

const isTree = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null
const reveal = (value: unknown) => (Redacted.isRedacted(value) ? Redacted.value(value) : value)
const at = (config: unknown, path: string): unknown =>
  reveal(path.split(".").reduce<unknown>((tree, name) => (isTree(tree) ? tree[name] : undefined), config))
const variableOf = (path: string) => `NEXUS_${path.replaceAll(".", "_").toUpperCase()}`
const leaves = (tree: object, prefix = ""): Array<string> =>
  Object.entries(tree).flatMap(([name, value]: [string, unknown]) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? leaves(value, `${prefix}${name}.`)
      : [`${prefix}${name}`]
  )
/** YAML that says one key and leaves all others to their defaults; JSON is YAML. */
const yamlOf = (path: string, value: unknown) =>
  JSON.stringify(path.split(".").reduceRight<unknown>((inner, name) => ({ [name]: inner }), value))

const bothKeys = { BINANCE_TESTNET_API_KEY: "key-of-the-testnet", BINANCE_TESTNET_API_SECRET: "secret-of-the-testnet" }
const kafka = { KAFKA_BROKERS: "k1:9092,k2:9093" }
const database = { DATABASE_URL: "postgres://ann:p%40ss%2Fword@db.example:6543/trades" }

/** Each key: what is written, what it decodes to, and what must be set for it to be legal. */
const table: Record<string, readonly [written: string, decoded: unknown, beside?: Record<string, string>]> = {
  "app.name": ["other", "other"],
  "app.environment": ["test", "test"],
  "app.host": ["::1", "::1"],
  "app.port": ["0", 0],
  "app.data_dir": ["elsewhere", "/work/elsewhere"],
  "app.roles": ["api, relay", ["api", "relay"], kafka],
  "app.allow_open_host": ["true", true],
  "database.mode": ["server", "server"],
  "database.url": ["postgres://u:pw@h/d", "postgres://u:pw@h/d"],
  "database.host": ["db", "db"],
  "database.port": ["6000", 6000],
  "database.username": ["ann", "ann"],
  "database.password": ["hush", "hush"],
  "database.name": ["trades", "trades"],
  "database.max_open_conns": ["50", 50],
  "database.max_idle_conns": ["0", 0],
  "database.appends_in_flight": ["4", 4],
  "database.ssl_mode": ["verify-full", "verify-full"],
  "database.migrate": ["false", false],
  "database.migrate_url": ["postgres://owner:pw@h/d", "postgres://owner:pw@h/d"],
  "database.lanes": ["8", 8],
  "database.statement_timeout_ms": ["6000", 6000],
  "database.lock_timeout_ms": ["3000", 3000],
  "database.idle_in_transaction_timeout_ms": ["3000", 3000],
  "database.embedded_port": ["5555", 5555],
  "binance.mode": ["embedded", "embedded"],
  "binance.exchange": ["TESTNET", "TESTNET", bothKeys],
  "binance.allow_production": ["true", true],
  "binance.production_confirmed": ["I trade real money", "I trade real money"],
  "binance.delta_ms": ["2000", 2000],
  "binance.staleness_ms": ["3000", 3000],
  "binance.stream_silence_ms": ["60000", 60_000],
  "binance.testnet.enabled": ["false", false],
  "binance.testnet.api_key": ["k", "k", { NEXUS_BINANCE_TESTNET_API_SECRET: "s" }],
  "binance.testnet.api_secret": ["s", "s", { NEXUS_BINANCE_TESTNET_API_KEY: "k" }],
  "binance.testnet.private_key_file": ["keys/a.pem", "/work/keys/a.pem", { NEXUS_BINANCE_TESTNET_API_KEY: "k" }],
  "binance.testnet.base_url": ["http://127.0.0.1:9080/", "http://127.0.0.1:9080"],
  "binance.testnet.ws_api_url": ["wss://ws.testnet.binance.vision/other", "wss://ws.testnet.binance.vision/other"],
  "binance.testnet.order_transport": ["websocket", "websocket"],
  "binance.testnet.recv_window_ms": ["4000", 4000],
  "binance.testnet.timeout_ms": ["20000", 20000],
  "kafka.mode": ["server", "server"],
  "kafka.brokers": ["a:1, b:2", ["a:1", "b:2"]],
  "kafka.consumer_group": ["group", "group"],
  "kafka.topics.orders": ["o", "o"],
  "kafka.topics.events": ["e", "e"],
  "kafka.sasl_mechanism": ["SCRAM-SHA-512", "SCRAM-SHA-512"],
  "kafka.username": ["ann", "ann"],
  "kafka.password": ["hush", "hush"],
  "kafka.allow_unencrypted_password": ["true", true],
  "kafka.tls.enabled": ["true", true],
  "kafka.tls.ca_file": ["keys/ca.pem", "/work/keys/ca.pem"],
  "kafka.tls.cert_file": ["keys/own.pem", "/work/keys/own.pem"],
  "kafka.tls.key_file": ["keys/own.key", "/work/keys/own.key"],
  "kafka.tls.verify_server_name": ["false", false],
  "kafka.create_topics": ["false", false],
  "kafka.replication_factor": ["3", 3],
  "kafka.min_insync_replicas": ["2", 2, { NEXUS_KAFKA_REPLICATION_FACTOR: "3" }],
  "kafka.retention_ms": ["60000", 60000],
  "outbox.poll_interval_ms": ["100", 100],
  "outbox.batch_size": ["10", 10],
  "outbox.max_backlog": ["1000", 1000],
  "engine.mailbox_size": ["10", 10],
  "engine.cached_orders": ["1000", 1000],
  "engine.command_deadline_ms": ["1000", 1000],
  "engine.lane_queue_size": ["10", 10],
  "execution.workers": ["4", 4],
  "execution.ready_set_size": ["10", 10],
  "execution.pickup_after_ms": ["1000", 1000],
  "execution.max_age_ms": ["90000", 90000],
  "execution.due_scan_interval_ms": ["100", 100],
  "execution.due_scan_batch": ["10", 10],
  "execution.cancel_workers": ["2", 2],
  "execution.repeat_backoff_ms": ["100", 100],
  "reconciler.interval_ms": ["1000", 1000],
  "reconciler.doubt_check_ms": ["100", 100],
  "reconciler.snapshot_refresh_ms": ["60000", 60000],
  "leases.ttl_ms": ["6000", 6000],
  "leases.renew_ms": ["400", 400],
  "http.max_body_bytes": ["2048", 2048],
  "http.max_connections": ["10", 10],
  "http.request_timeout_ms": ["20000", 20000],
  "http.headers_timeout_ms": ["4000", 4000],
  "http.keep_alive_timeout_ms": ["4000", 4000],
  "http.drain_ms": ["0", 0],
  "supervision.max_defects": ["3", 3],
  "supervision.defect_window_ms": ["60000", 60000],
  "supervision.restart_min_ms": ["100", 100],
  "supervision.restart_max_ms": ["60000", 60000],
  "simulator.seed": ["8", 8],
  "simulator.latency_ms": ["20", 20],
  "simulator.limits": ["real", "real"],
  "simulator.tick_ms": ["0", 0],
  "audit.anchor_file": ["heads.json", "/work/heads.json"],
  "audit.anchor_interval_ms": ["250", 250],
  "logging.level": ["debug", "debug"],
  "logging.format": ["text", "text"]
}
const rows = Object.entries(table)

describe("keys", () => {
  it("the table below, config.yaml and the program know exactly the same keys", () => {
    const inFile = leaves(parse(shipped))

    assert.deepStrictEqual(inFile.toSorted(), Object.keys(table).toSorted())
    assert.deepStrictEqual(faultsOf(), [])
  })

  it("config.yaml states the defaults that apply without it", () => {
    const { database: ours, ...fromFile } = load()
    const { database: builtIn, ...fromNothing } = load({ yamlText: "" })

    assert.strictEqual(inspect(fromFile, { depth: 9 }), inspect(fromNothing, { depth: 9 }))
    assert.deepStrictEqual(
      Object.entries(ours).map(([, v]) => reveal(v)),
      Object.entries(builtIn).map(([, v]) => reveal(v))
    )
  })

  it("the defaults of the original configuration are unchanged", () => {
    const config = load()

    assert.deepInclude(config.app, { name: "nexus-order-manager", environment: "development" })
    assert.deepInclude(config.database, {
      host: "localhost",
      port: 5432,
      username: "nexus",
      name: "nexus_trading",
      max_open_conns: 25,
      max_idle_conns: 5,
      ssl_mode: "disable"
    })
    assert.deepInclude(config.binance.testnet, { enabled: true, base_url: "https://testnet.binance.vision" })
    assert.deepInclude(config.kafka, {
      brokers: ["localhost:9092"],
      consumer_group: "nexus-order-workers",
      topics: { orders: "nexus.orders", events: "nexus.events" }
    })
    assert.deepInclude(config.outbox, { poll_interval_ms: 500, batch_size: 100 })
    assert.deepStrictEqual(config.logging, { level: "info", format: "json" })
  })

  it.each(rows)("%s is what its variable says, and not its default", (path, [written, decoded, beside]) => {
    const config = load({ env: { ...beside, [variableOf(path)]: written } })

    assert.notDeepEqual(at(load(), path), decoded)
    assert.deepStrictEqual(at(config, path), decoded)
  })

  it.each(rows)("%s is what config.yaml says", (path, [written, decoded, beside]) => {
    const config = load({ yamlText: yamlOf(path, written), env: beside ?? {} })

    assert.deepStrictEqual(at(config, path), decoded)
  })

  it.each(rows.filter(([, [, decoded]]) => typeof decoded === "number"))(
    "%s refuses what is not a whole number",
    (path) => {
      for (const written of ["-1", "1.5", "1e3", "0x10", "ten", "99999999999999999999"]) {
        assert.deepStrictEqual(pathsOf({ env: { [variableOf(path)]: written } }), [path], written)
      }
    }
  )

  it("numbers and booleans of YAML mean what their text means", () => {
    const config = load({ yamlText: "app: { port: 9000, allow_open_host: true }\nkafka: { brokers: [a:1, 'b:2'] }" })

    assert.deepInclude(config.app, { port: 9000, allow_open_host: true })
    assert.deepStrictEqual(config.kafka.brokers, ["a:1", "b:2"])
  })
})

describe("sources", () => {
  it("the environment wins over .env, and .env over config.yaml", () => {
    const yamlText = yamlOf("app.port", "1001")
    const dotEnvText = "NEXUS_APP_PORT=1002"

    assert.strictEqual(load({ yamlText }).app.port, 1001)
    assert.strictEqual(load({ yamlText, dotEnvText }).app.port, 1002)
    assert.strictEqual(load({ yamlText, dotEnvText, env: { NEXUS_APP_PORT: "1003" } }).app.port, 1003)
  })

  it("an empty variable of the environment hides the one in .env and leaves the key to config.yaml", () => {
    const dotEnvText = "BINANCE_TESTNET_API_KEY=a\nBINANCE_TESTNET_API_SECRET=b\nNEXUS_APP_PORT=1002"
    const env = { BINANCE_TESTNET_API_KEY: "", BINANCE_TESTNET_API_SECRET: "", NEXUS_APP_PORT: "" }

    assert.strictEqual(load({ dotEnvText }).parts.exchange, "TESTNET")
    assert.strictEqual(load({ dotEnvText, env }).parts.exchange, "SIMULATOR")
    assert.strictEqual(load({ dotEnvText, env }).app.port, 8080)
  })

  it("${NAME} and ${NAME:-default} are replaced by variables of the environment and of .env", () => {
    const yamlText = yamlOf("app.name", "${A}-${B:-b}-${C:-c}-${D}-${E:-}")

    assert.strictEqual(load({ yamlText, env: { A: "1", B: "" }, dotEnvText: "C=3" }).app.name, "1-b-3--")
  })

  it("a variable that is not set is a fault where its key must not be empty, and names the variable", () => {
    assert.deepStrictEqual(faultsOf({ yamlText: yamlOf("app.name", "${ABSENT}") }), [
      { path: "app.name", rule: "must not be empty", found: '"" from ABSENT' }
    ])
  })

  it.effect("a process reads the file that NEXUS_CONFIG names, and reports one that is not there in a sentence", () =>
    Effect.gen(function* () {
      const folder = mkdtempSync(join(tmpdir(), "nexus-config-"))
      const file = join(folder, "mine.yaml")
      writeFileSync(file, yamlOf("app.name", "mine"))
      const before = process.env.NEXUS_CONFIG

      process.env.NEXUS_CONFIG = file
      const config = yield* AppConfig.fromProcess({ readDotEnv: false })
      process.env.NEXUS_CONFIG = join(folder, "absent.yaml")
      const error = yield* Effect.flip(AppConfig.fromProcess({ readDotEnv: false }))

      if (before === undefined) delete process.env.NEXUS_CONFIG
      else process.env.NEXUS_CONFIG = before
      rmSync(folder, { recursive: true })
      assert.strictEqual(config.app.name, "mine")
      assert.strictEqual(error.message, `${join(folder, "absent.yaml")} must be a readable file; found ENOENT`)
    })
  )

  it.effect("a process reads .env of its folder, only when it is asked to", () =>
    Effect.gen(function* () {
      const folder = mkdtempSync(join(tmpdir(), "nexus-config-"))
      writeFileSync(join(folder, ".env"), "NEXUS_APP_NAME='from .env'")
      const before = process.cwd()

      process.chdir(folder)
      const reading = yield* AppConfig.fromProcess({ readDotEnv: true })
      const blind = yield* AppConfig.fromProcess({ readDotEnv: false })

      process.chdir(before)
      rmSync(folder, { recursive: true })
      assert.strictEqual(reading.app.name, "from .env")
      assert.strictEqual(reading.app.data_dir, join(folder, ".nexus"))
      assert.strictEqual(blind.app.name, "nexus-order-manager")
    })
  )

  it.effect("a process without NEXUS_CONFIG reads config.yaml beside package.json, wherever it is started", () =>
    Effect.gen(function* () {
      const config = yield* AppConfig.fromProcess({ readDotEnv: false })

      assert.strictEqual(config.outbox.poll_interval_ms, 500)
    })
  )
})

describe("faults", () => {
  it("all of them are reported at once: keys, variables, values, and rules between keys", () => {
    const yamlText =
      "app: { port: http, nmae: x }\nlogging: { level: loud }\ncolour: blue\noutbox: 7\nleases: { renew_ms: 2000 }"
    const env = { NEXUS_APP_PROT: "1", NEXUS_EXECUTION_WORKERS: "0", BINANCE_TESTNET_API_KEY: "only-one" }

    assert.sameMembers(pathsOf({ yamlText, env }), [
      "NEXUS_APP_PROT",
      "app.nmae",
      "colour",
      "outbox",
      "app.port",
      "logging.level",
      "execution.workers",
      "leases.renew_ms",
      "binance.testnet.api_secret"
    ])
  })

  it("each is one line with path, rule, what was found and where", () => {
    const result = loadConfig({ ...base, env: { NEXUS_APP_PORT: "70000", NEXUS_LOGGING_LEVEL: "loud\u001b[2J\u009b" } })

    assert.strictEqual(
      Result.isFailure(result) ? result.failure.message : "",
      'app.port must be a whole number from 0 to 65535; found "70000" from NEXUS_APP_PORT\n' +
        'logging.level must be one of debug, info, warn, error; found "loud\\u001b[2J\\u009b" from NEXUS_LOGGING_LEVEL'
    )
  })

  it("YAML that cannot be read is reported by line, without quoting it", () => {
    const [fault, ...others] = faultsOf({ yamlText: "app:\n  name: a\n  name: canary-value" })

    assert.deepStrictEqual(fault, { path: "config.yaml line 3", rule: "must be YAML", found: "DUPLICATE_KEY" })
    assert.deepStrictEqual(others, [])
  })

  it("a list or a section in the place of a value is a fault", () => {
    assert.deepStrictEqual(
      pathsOf({ yamlText: "app: { port: [1, 2], name: { a: 1 } }\nkafka: { brokers: [{ a: 1 }] }" }),
      ["app.port", "app.name", "kafka.brokers"]
    )
  })

  it("variables of tools and those that Kubernetes sets for a Service are not ours to judge", () => {
    const env = {
      NEXUS_CONFIG: "x",
      NEXUS_TEST_SEED: "1",
      NEXUS_BENCH_ROUNDS: "1",
      NEXUS_PORT: "tcp://10.0.0.1:80",
      NEXUS_SERVICE_HOST: "10.0.0.1",
      NEXUS_PORT_80_TCP_ADDR: "10.0.0.1",
      NEXUS_API_SERVICE_PORT_HTTP: "80"
    }

    assert.deepStrictEqual(pathsOf({ env }), [])
    assert.deepStrictEqual(pathsOf({ env: { NEXUS_PORT: "9000" } }), ["NEXUS_PORT"])
  })

  it("no fault, and no printed configuration, shows a secret wherever it was put", () => {
    const canary = "canary-7f3a91"
    const inputs: Array<Partial<ConfigInput>> = [
      { env: { DATABASE_URL: `mysql://u:${canary}@h/d` } },
      {
        env: { DATABASE_URL: `postgres://u:${canary}@h/d?sslmode=prefer`, NEXUS_APP_PORT: `postgres://u:${canary}@h/d` }
      },
      { env: { DATABASE_URL: `postgres://u:%E0${canary}@h/d` } },
      { env: { BINANCE_TESTNET_API_SECRET: canary } },
      { yamlText: yamlOf("binance.testnet.api_secrt", canary) },
      { yamlText: `binance: { testnet: { api_secret: [${canary}] } }` },
      { yamlText: yamlOf("app.port", "${BINANCE_TESTNET_API_SECRET}"), env: { BINANCE_TESTNET_API_SECRET: canary } },
      { yamlText: yamlOf("app.port", "${VAULT_TOKEN}"), env: { VAULT_TOKEN: canary } },
      {
        env: {
          BINANCE_TESTNET_API_KEY: canary,
          BINANCE_TESTNET_API_SECRET: canary,
          NEXUS_BINANCE_TESTNET_BASE_URL: `http://u:${canary}@h`
        }
      },
      { env: { NEXUS_SECRET: canary } },
      { yamlText: `database: { password: ${canary}, url: "postgres://u:${canary}` },
      { env: Object.fromEntries(rows.map(([path]) => [variableOf(path), canary])) }
    ]

    for (const input of inputs) {
      const result = loadConfig({ ...base, ...input })
      assert.isTrue(Result.isFailure(result), inspect(input))
      assert.notInclude(
        inspect(result, { depth: 9 }) + (Result.isFailure(result) ? result.failure.message : ""),
        canary,
        inspect(input)
      )
    }
    const good = load({
      env: {
        DATABASE_URL: `postgres://u:${canary}@h/d`,
        BINANCE_TESTNET_API_KEY: canary,
        BINANCE_TESTNET_API_SECRET: canary
      }
    })
    assert.notInclude(inspect(good, { depth: 9, showHidden: true }) + JSON.stringify(good), canary)
    assert.strictEqual(Redacted.value(good.connections.serving.password), canary)
  })
})

const partsOf = (env: Record<string, string>) => load({ env }).parts

describe("parts", () => {
  it("everything is embedded until something is given, and each part may be given alone", () => {
    const none = {
      database: "embedded",
      kafka: "embedded",
      exchange: "SIMULATOR",
      exchangeEmbedded: true,
      realMoney: false
    } as const

    assert.deepStrictEqual(partsOf({}), none)
    assert.deepStrictEqual(partsOf(database), { ...none, database: "server" })
    assert.deepStrictEqual(partsOf(kafka), { ...none, kafka: "server" })
    assert.deepStrictEqual(partsOf(bothKeys), { ...none, exchange: "TESTNET", exchangeEmbedded: false })
  })

  it("a mode by name wins over what is given", () => {
    const env = { ...database, ...kafka, ...bothKeys }
    const embedded = { NEXUS_DATABASE_MODE: "embedded", NEXUS_KAFKA_MODE: "embedded", NEXUS_BINANCE_MODE: "embedded" }

    assert.deepStrictEqual(load({ env: { ...env, ...embedded } }).parts, load().parts)
    assert.strictEqual(load({ env: { NEXUS_DATABASE_MODE: "server" } }).connections.serving.host, "localhost")
  })

  it("an address on loopback is a simulator, with its margins, and its WebSocket API is at the same address", () => {
    const config = load({ env: { ...bothKeys, NEXUS_BINANCE_TESTNET_BASE_URL: "http://127.0.0.1:9080" } })

    assert.deepInclude(config.parts, { exchange: "SIMULATOR", exchangeEmbedded: false })
    assert.deepStrictEqual(config.margins, { delta_ms: 1_000, staleness_ms: 1_000 })
    assert.strictEqual(config.binance.testnet.ws_api_url, "ws://127.0.0.1:9080/ws-api/v3")
    assert.notInclude(config.app.roles, "simulator")
  })

  it("another address is a simulator only when it is called one", () => {
    const env = { ...bothKeys, NEXUS_BINANCE_TESTNET_BASE_URL: "http://simulator:9080" }

    assert.deepStrictEqual(pathsOf({ env }), ["binance.testnet.base_url", "binance.testnet.ws_api_url"])
    assert.strictEqual(load({ env: { ...env, NEXUS_BINANCE_EXCHANGE: "SIMULATOR" } }).margins.staleness_ms, 1_000)
  })

  it("Binance has its long margins, also behind a proxy on this machine that is called the testnet", () => {
    const behind = {
      ...bothKeys,
      NEXUS_BINANCE_TESTNET_BASE_URL: "http://localhost:1",
      NEXUS_BINANCE_EXCHANGE: "TESTNET"
    }

    assert.deepStrictEqual(load({ env: bothKeys }).margins, { delta_ms: 10_000, staleness_ms: 60_000 })
    assert.deepStrictEqual(load({ env: behind }).margins, { delta_ms: 10_000, staleness_ms: 60_000 })
    assert.deepStrictEqual(load({ env: { ...bothKeys, NEXUS_BINANCE_DELTA_MS: "0" } }).margins, {
      delta_ms: 0,
      staleness_ms: 60_000
    })
  })

  it("topics are created at start outside production only, unless the key says", () => {
    const production = {
      ...database,
      ...kafka,
      ...bothKeys,
      NEXUS_APP_ENVIRONMENT: "production",
      NEXUS_DATABASE_SSL_MODE: "verify-full"
    }

    assert.isTrue(load().kafka.create_topics)
    assert.isFalse(load({ env: production }).kafka.create_topics)
    assert.isTrue(load({ env: { ...production, NEXUS_KAFKA_CREATE_TOPICS: "true" } }).kafka.create_topics)
  })
})

const serving = (env: Record<string, string>) => load({ env }).connections.serving
const urlWith = (query: string) => ({ DATABASE_URL: `postgres://u:p@h/d${query}` })

describe("the database's address", () => {
  it("is the URL's where it says something, and the keys' where it does not", () => {
    const { password, ...rest } = serving(database)

    assert.deepStrictEqual(rest, {
      host: "db.example",
      port: 6543,
      username: "ann",
      database: "trades",
      ssl_mode: "disable",
      tls: false
    })
    assert.strictEqual(Redacted.value(password), "p@ss/word")
    assert.deepInclude(serving({ DATABASE_URL: "postgresql://h" }), {
      host: "h",
      port: 5432,
      username: "nexus",
      database: "nexus_trading"
    })
    assert.strictEqual(Redacted.value(serving({ DATABASE_URL: "postgresql://h" }).password), "")
  })

  it("may be an IPv6 address or the folder of a Unix socket", () => {
    assert.strictEqual(serving({ DATABASE_URL: "postgres://u@[::1]:1/d" }).host, "::1")
    assert.strictEqual(serving({ DATABASE_URL: "postgres://u@%2Fvar%2Frun/d" }).host, "/var/run")
    assert.strictEqual(serving({ DATABASE_URL: "postgres:///d?host=/var/run" }).host, "/var/run")
  })

  it("asks for TLS by ssl_mode, unless the URL does, unless the variable does", () => {
    assert.strictEqual(serving({ ...urlWith(""), NEXUS_DATABASE_SSL_MODE: "disable" }).tls, false)
    assert.deepStrictEqual(serving(urlWith("?sslmode=require")).tls, { rejectUnauthorized: false })
    assert.deepStrictEqual(serving(urlWith("?sslmode=verify-full")).tls, { rejectUnauthorized: true })
    assert.hasAllKeys(serving(urlWith("?sslmode=verify-ca")).tls, ["rejectUnauthorized", "checkServerIdentity"])
    assert.strictEqual(serving({ ...urlWith("?sslmode=verify-full"), NEXUS_DATABASE_SSL_MODE: "disable" }).tls, false)
    assert.strictEqual(load({ env: urlWith("?sslmode=require") }).database.ssl_mode, "require")
  })

  it("for migrations is another one where migrate_url gives it", () => {
    const env = { ...database, NEXUS_DATABASE_MIGRATE_URL: "postgres://owner:x@db.example:6543/trades" }

    assert.strictEqual(load({ env }).connections.migrating.username, "owner")
    assert.strictEqual(load({ env }).connections.serving.username, "ann")
    assert.strictEqual(load({ env: database }).connections.migrating.username, "ann")
  })
})

describe("rules between keys", () => {
  const open = { NEXUS_APP_HOST: "0.0.0.0" }
  const production = {
    ...database,
    ...kafka,
    ...bothKeys,
    NEXUS_APP_ENVIRONMENT: "production",
    NEXUS_DATABASE_SSL_MODE: "require"
  }
  const real = {
    ...bothKeys,
    NEXUS_BINANCE_TESTNET_BASE_URL: "https://api.binance.com",
    NEXUS_BINANCE_TESTNET_WS_API_URL: "wss://ws-api.binance.com/ws-api/v3"
  }
  const bothHosts = ["binance.testnet.base_url", "binance.testnet.ws_api_url"]
  const confirmed = { NEXUS_BINANCE_ALLOW_PRODUCTION: "true", NEXUS_BINANCE_PRODUCTION_CONFIRMED: "I trade real money" }
  const simulated = { NEXUS_BINANCE_EXCHANGE: "SIMULATOR" }
  const login = { NEXUS_KAFKA_SASL_MECHANISM: "SCRAM-SHA-512", KAFKA_USERNAME: "ann", KAFKA_PASSWORD: "hush" }

  const cases: ReadonlyArray<readonly [sentence: string, env: Record<string, string>, paths: ReadonlyArray<string>]> = [
    ["half a pair of keys is refused", { BINANCE_TESTNET_API_KEY: "k" }, ["binance.testnet.api_secret"]],
    ["the other half is refused too", { BINANCE_TESTNET_API_SECRET: "s" }, ["binance.testnet.api_key"]],
    [
      "a private key stands in the place of a secret",
      { BINANCE_TESTNET_API_KEY: "k", NEXUS_BINANCE_TESTNET_PRIVATE_KEY_FILE: "key.pem" },
      []
    ],
    [
      "a private key without the key that the exchange knows it by is refused",
      { NEXUS_BINANCE_TESTNET_PRIVATE_KEY_FILE: "key.pem" },
      ["binance.testnet.api_key"]
    ],
    [
      "half a pair does not matter to an embedded exchange",
      { BINANCE_TESTNET_API_KEY: "k", NEXUS_BINANCE_MODE: "embedded" },
      []
    ],
    [
      "an exchange at an address needs keys",
      { NEXUS_BINANCE_MODE: "server" },
      ["binance.testnet.api_key", "binance.testnet.api_secret"]
    ],
    [
      "a process that signs nothing needs no keys",
      { NEXUS_BINANCE_MODE: "server", NEXUS_APP_ROLES: "api", ...kafka },
      []
    ],
    [
      "a disabled testnet is never spoken to",
      { ...bothKeys, NEXUS_BINANCE_TESTNET_ENABLED: "false" },
      ["binance.testnet.enabled"]
    ],
    ["a disabled testnet does not disturb embedded parts", { NEXUS_BINANCE_TESTNET_ENABLED: "false" }, []],
    ["an embedded exchange is not the testnet", { NEXUS_BINANCE_EXCHANGE: "TESTNET" }, ["binance.exchange"]],
    ["the testnet does not get the margins of a simulator", { ...bothKeys, ...simulated }, bothHosts],
    [
      "keys never travel in the open",
      { ...bothKeys, NEXUS_BINANCE_TESTNET_BASE_URL: "http://testnet.binance.vision" },
      ["binance.testnet.base_url"]
    ],
    [
      "REST here and WebSocket there is refused",
      {
        ...bothKeys,
        NEXUS_BINANCE_TESTNET_BASE_URL: "http://127.0.0.1:1",
        NEXUS_BINANCE_TESTNET_WS_API_URL: "wss://ws.example/x"
      },
      ["binance.testnet.ws_api_url"]
    ],
    [
      "the exchange's own time-out must pass first",
      { ...bothKeys, NEXUS_BINANCE_TESTNET_TIMEOUT_MS: "10000" },
      ["binance.testnet.timeout_ms"]
    ],
    ["a simulator may be given up on sooner", { NEXUS_BINANCE_TESTNET_TIMEOUT_MS: "10000" }, []],
    ["a production host is refused", real, bothHosts],
    [
      "a production host is refused when asked for once",
      { ...real, NEXUS_BINANCE_ALLOW_PRODUCTION: "true" },
      bothHosts
    ],
    [
      "a production host is refused with the sentence alone",
      { ...real, NEXUS_BINANCE_PRODUCTION_CONFIRMED: "I trade real money" },
      bothHosts
    ],
    [
      "a production host is refused when the sentence is another",
      { ...real, ...confirmed, NEXUS_BINANCE_PRODUCTION_CONFIRMED: "yes" },
      bothHosts
    ],
    ["a production host is taken when asked for twice", { ...real, ...confirmed }, []],
    [
      "production REST with the testnet's WebSocket is refused",
      { ...bothKeys, ...confirmed, NEXUS_BINANCE_TESTNET_BASE_URL: "https://api.binance.com" },
      ["binance.testnet.ws_api_url"]
    ],
    ["fewer roles need a real Kafka", { NEXUS_APP_ROLES: "api" }, ["app.roles"]],
    ["fewer roles go with a real Kafka", { NEXUS_APP_ROLES: "executor,simulator", ...kafka }, []],
    ["whoever trades needs an exchange", { NEXUS_APP_ROLES: "executor", ...kafka }, ["app.roles"]],
    ["a role named twice is refused", { NEXUS_APP_ROLES: "api,api", ...kafka }, ["app.roles"]],
    ["an open host is refused", open, ["app.host"]],
    ["an open host is refused by any name but loopback", { NEXUS_APP_HOST: "::" }, ["app.host"]],
    ["an open host is taken when allowed", { ...open, NEXUS_APP_ALLOW_OPEN_HOST: "true" }, []],
    [
      "production takes no embedded part by accident",
      { NEXUS_APP_ENVIRONMENT: "production" },
      ["database.mode", "kafka.mode", "binance.mode"]
    ],
    [
      "production takes embedded parts by name",
      {
        NEXUS_APP_ENVIRONMENT: "production",
        NEXUS_DATABASE_MODE: "embedded",
        NEXUS_KAFKA_MODE: "embedded",
        NEXUS_BINANCE_MODE: "embedded"
      },
      []
    ],
    ["production takes a database with TLS", production, []],
    [
      "production takes a plain database when the environment says so",
      { ...production, NEXUS_DATABASE_SSL_MODE: "disable" },
      []
    ],
    [
      "production takes no plain database that only a file asks for",
      { ...production, NEXUS_DATABASE_SSL_MODE: "" },
      ["database.ssl_mode"]
    ],
    ["a url of another kind is refused", { DATABASE_URL: "mysql://h/d" }, ["database.url"]],
    ["a url that is not used may be anything", { DATABASE_URL: "mysql://h/d", NEXUS_DATABASE_MODE: "embedded" }, []],
    [
      "an sslmode that may fall back to plain is refused",
      { DATABASE_URL: "postgres://u:p@h/d?sslmode=prefer" },
      ["database.url"]
    ],
    [
      "an order may not grow stale before its attempt can be proven absent",
      { ...bothKeys, NEXUS_EXECUTION_MAX_AGE_MS: "75000" },
      ["execution.max_age_ms"]
    ],
    ["a simulator's orders may grow stale sooner", { NEXUS_EXECUTION_MAX_AGE_MS: "75000" }, []],
    ["no more connections idle than open", { NEXUS_DATABASE_MAX_IDLE_CONNS: "26" }, ["database.max_idle_conns"]],
    ["a lease survives a lost renewal", { NEXUS_LEASES_RENEW_MS: "1501" }, ["leases.renew_ms"]],
    ["a lease may be renewed twice in its life", { NEXUS_LEASES_RENEW_MS: "1500" }, []],
    ["headers arrive before requests", { NEXUS_HTTP_HEADERS_TIMEOUT_MS: "10001" }, ["http.headers_timeout_ms"]],
    [
      "restarts do not begin above their bound",
      { NEXUS_SUPERVISION_RESTART_MIN_MS: "30001" },
      ["supervision.restart_min_ms"]
    ],
    ["no more copies in sync than copies", { NEXUS_KAFKA_MIN_INSYNC_REPLICAS: "2" }, ["kafka.min_insync_replicas"]],
    ["a password for Kafka does not cross a network in the clear", { ...kafka, ...login }, ["kafka.tls.enabled"]],
    ["… unless that is said aloud", { ...kafka, ...login, NEXUS_KAFKA_ALLOW_UNENCRYPTED_PASSWORD: "true" }, []],
    ["… or it stays on this machine", { ...login, KAFKA_BROKERS: "localhost:9092,[::1]:9093" }, []],
    ["… or is encrypted", { ...kafka, ...login, NEXUS_KAFKA_TLS_ENABLED: "true" }, []],
    ["a user that would never be sent is refused", { ...kafka, KAFKA_USERNAME: "ann" }, ["kafka.sasl_mechanism"]],
    ["a password that would never be sent is too", { ...kafka, KAFKA_PASSWORD: "hush" }, ["kafka.sasl_mechanism"]],
    [
      "a login needs both of its halves",
      { ...kafka, NEXUS_KAFKA_SASL_MECHANISM: "SCRAM-SHA-256", NEXUS_KAFKA_TLS_ENABLED: "true" },
      ["kafka.username", "kafka.password"]
    ],
    ["files of TLS without TLS are refused", { ...kafka, NEXUS_KAFKA_TLS_CA_FILE: "ca.pem" }, ["kafka.tls.enabled"]],
    [
      "a certificate without its key is refused",
      { ...kafka, NEXUS_KAFKA_TLS_ENABLED: "true", NEXUS_KAFKA_TLS_CERT_FILE: "own.pem" },
      ["kafka.tls.key_file"]
    ],
    [
      "a name that is not checked where nothing is encrypted is refused",
      { ...kafka, NEXUS_KAFKA_TLS_VERIFY_SERVER_NAME: "false" },
      ["kafka.tls.enabled"]
    ],
    ["none of this disturbs an embedded bus", { KAFKA_USERNAME: "ann" }, []],
    ["orders and events are two topics", { NEXUS_KAFKA_TOPICS_EVENTS: "nexus.orders" }, ["kafka.topics.events"]]
  ]

  it.each(cases)("%s", (_, env, paths) => {
    assert.deepStrictEqual(pathsOf({ env }), paths)
  })

  it.each([
    "api1.binance.com",
    "api4.binance.com",
    "api-gcp.binance.com",
    "data-api.binance.vision",
    "API.BINANCE.COM.",
    "api.binance.us"
  ])("%s is a production host", (host) => {
    assert.include(
      pathsOf({ env: { ...bothKeys, NEXUS_BINANCE_TESTNET_BASE_URL: `https://${host}` } }),
      "binance.testnet.base_url"
    )
  })

  it("a configuration that trades real money says so", () => {
    assert.isTrue(load({ env: { ...real, ...confirmed } }).parts.realMoney)
    assert.isFalse(load({ env: bothKeys }).parts.realMoney)
  })

  it("an empty password is refused where the keys are the database's address", () => {
    const yamlText = "database: { mode: server, password: '' }"

    assert.deepStrictEqual(pathsOf({ yamlText }), ["database.password"])
    assert.deepStrictEqual(pathsOf({ yamlText, env: database }), [])
  })

  it("a rule is not asked of a key that could not be read", () => {
    assert.deepStrictEqual(pathsOf({ env: { NEXUS_LEASES_TTL_MS: "soon", NEXUS_LEASES_RENEW_MS: "2000" } }), [
      "leases.ttl_ms"
    ])
  })
})
