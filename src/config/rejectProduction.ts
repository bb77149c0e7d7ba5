/**
 * The rules that guard what is real: who may reach the door, and in production nothing embedded and nothing unencrypted
 * unless somebody says so by name.
 */
import type { Config } from "./Config.ts"
import type { Reject } from "./ConfigFaults.ts"
import { isLoopback } from "./hosts.ts"

export const rejectProduction = (
  config: Config,
  variables: Readonly<Record<string, string | undefined>>,
  reject: Reject
) => {
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
