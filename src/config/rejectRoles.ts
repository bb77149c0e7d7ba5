/**
 * The rules about roles: a process may leave some to others only where something joins the processes, and does not
 * trade at an exchange inside this program that nobody runs.
 */
import type { Config } from "./Config.ts"
import type { Reject } from "./ConfigFaults.ts"
import type { Role } from "./keys.ts"

export const rejectRoles = (config: Config, asked: ReadonlyArray<Role>, reject: Reject) => {
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
