/**
 * From the keys to the configuration: which parts are embedded, which exchange it is, every file as a whole path; then
 * the rules between keys, asked of the result. A key that says `auto` or nothing is decided here and nowhere else.
 */
import { Redacted } from "effect"
import { resolve } from "node:path"
import type { Config, Parts } from "./Config.ts"
import type { Reject } from "./ConfigFaults.ts"
import { isBinance, isLoopback, isProduction } from "./hosts.ts"
import { type Sections, testnetWsApiUrl } from "./keys.ts"
import { rejectExchange } from "./rejectExchange.ts"
import { rejectKafkaAccess } from "./rejectKafkaAccess.ts"
import { rejectNumbers } from "./rejectNumbers.ts"
import { rejectProduction } from "./rejectProduction.ts"
import { rejectRoles } from "./rejectRoles.ts"
import { targetOf } from "./targetOf.ts"

/** δ (how far clocks may differ) and T (how stale an answer may be), per kind of exchange. */
const usualMargins = {
  TESTNET: { delta_ms: 10_000, staleness_ms: 60_000 },
  SIMULATOR: { delta_ms: 1_000, staleness_ms: 1_000 }
} as const

/** What follows from the keys together, and the rules between them. */
export const derive = (
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

/** With another exchange at `base_url`, its WebSocket API is there too unless `ws_api_url` was changed as well. */
const wsApiUrl = ({ base_url, ws_api_url }: Sections["binance"]["testnet"]) => {
  const base = new URL(base_url)
  if (ws_api_url !== testnetWsApiUrl || isBinance(base.hostname)) return ws_api_url
  return `${base.protocol === "https:" ? "wss" : "ws"}://${base.host}${new URL(testnetWsApiUrl).pathname}`
}
