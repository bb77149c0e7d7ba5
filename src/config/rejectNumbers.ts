/**
 * The rules between numbers, and between names, that are each legal alone: waits that fit into each other, limits below
 * the limits they depend on.
 */
import type { Config } from "./Config.ts"
import type { Reject } from "./ConfigFaults.ts"

export const rejectNumbers = (config: Config, reject: Reject) => {
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
