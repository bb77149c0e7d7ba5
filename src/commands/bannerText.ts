/**
 * What a start says: which parts are embedded and which are real, SIMULATOR or TESTNET in capitals, the addresses, what
 * is open to others, and one line that places an order.
 */
import type { AppConfig } from "../config.ts"

export const bannerText = (
  { app, database, kafka, parts }: typeof AppConfig.Service,
  {
    baseUrl,
    note,
    url
  }: {
    /** Of this process's listener; empty: it has none. */
    readonly url: string
    /** Of the exchange. */
    readonly baseUrl: string
    /** What a person should know of an embedded database. */
    readonly note: string | null
  }
): string => {
  const lines = [
    `Nexus ${parts.realMoney ? "— REAL MONEY" : ""}`.trimEnd(),
    `  exchange    ${parts.exchange}${parts.exchangeEmbedded ? " (embedded)" : ` at ${baseUrl}`}`,
    `  PostgreSQL  ${parts.database === "embedded" ? `embedded, data in ${app.data_dir}` : "real"}${note === null ? "" : `; ${note}`}`,
    `  bus         ${parts.kafka === "embedded" ? "embedded" : `Kafka at ${kafka.brokers.join(", ")}`}`,
    `  roles       ${app.roles.join(", ")}`
  ]
  if (app.allow_open_host) lines.push("  warning     app.allow_open_host: whoever reaches this address can trade")
  if (app.environment === "production" && database.ssl_mode === "disable") {
    lines.push("  warning     database.ssl_mode disable: orders cross the network in the clear")
  }
  if (parts.kafka === "server" && kafka.allow_unencrypted_password && !kafka.tls.enabled) {
    lines.push("  warning     kafka.allow_unencrypted_password: who listens to Kafka's network can try out passwords")
  }
  if (parts.kafka === "server" && !kafka.tls.verify_server_name) {
    lines.push(
      "  warning     kafka.tls.verify_server_name false: any server that our authorities signed passes for Kafka"
    )
  }
  if (url !== "") {
    lines.push(
      `  API         ${url}/api/v1/orders   ${url}/openapi.json`,
      `  health      ${url}/health   ${url}/ready   ${url}/metrics`,
      "",
      "Try:",
      `  curl -s ${url}/api/v1/orders -H 'content-type: application/json' -d '{"symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":0.001}'`
    )
  }
  return lines.join("\n")
}
