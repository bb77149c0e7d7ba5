/** `nexus leases`: who owns what, and who lives. */
import { Console, Effect } from "effect"
import { AppConfig } from "../config.ts"
import { Leases } from "../sql/Leases.ts"
import { Replicas } from "../sql/Replicas.ts"
import { table } from "./table.ts"

export const leases = Effect.gen(function* () {
  const { leases: limits } = yield* AppConfig
  const [held, replicas] = yield* Effect.all([(yield* Leases).list, (yield* Replicas).list])
  const seconds = (millis: number) => `${(millis / 1_000).toFixed(1)} s`
  const owned = held.map(({ epoch, owner, remainingMillis, role }) => [
    role,
    owner ?? "nobody",
    String(epoch),
    owner === null || remainingMillis === null
      ? "free"
      : remainingMillis < 0
        ? `free, expired ${seconds(-remainingMillis)} ago`
        : `expires in ${seconds(remainingMillis)}`
  ])
  const lives = replicas.map(({ id, roles, silentMillis }) => [
    id,
    silentMillis < limits.ttl_ms ? "lives" : "silent",
    `${seconds(silentMillis)} ago`,
    // Names of leases say nothing beyond their kind here.
    [...new Set(roles.map((role) => role.split("/")[0]!))].join(" ")
  ])
  yield* Console.log(table([["role", "owner", "epoch", "lease"], ...owned]))
  yield* Console.log("")
  yield* Console.log(lives.length === 0 ? "no replica runs" : table([["replica", "state", "seen", "roles"], ...lives]))
})
