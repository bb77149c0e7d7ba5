/**
 * Verifies the whole log and what was derived from it, and names everything that is not as it must be.
 *
 * Two passes on one snapshot: lane by lane for positions, hashes and batches, then stream by stream for
 * versions, chains, lives, heads and the blotter. Reads only, in bounded memory, beside a serving system.
 * A tail that was cut off everywhere at once is beyond it: that takes an anchor kept elsewhere.
 */
import { Context, Effect, Layer } from "effect"
import type { Snapshot } from "../sql/LogScan.ts"
import { LogScan } from "../sql/LogScan.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"
import type { Finding } from "./Findings.ts"
import { Findings } from "./Findings.ts"
import { checkLane } from "./LaneCheck.ts"
import { checkStreams, nothing } from "./StreamCheck.ts"

export type { Finding } from "./Findings.ts"

export interface VerifyReport {
  readonly ok: boolean
  readonly lanes: number
  readonly events: number
  readonly batches: number
  readonly streams: number
  /** All there are. */
  readonly findingCount: number
  /** The first of them. */
  readonly findings: ReadonlyArray<Finding>
}

export class Verify extends Context.Service<
  Verify,
  {
    readonly verify: Effect.Effect<VerifyReport, StoreUnavailable>
  }
>()("nexus/audit/Verify") {
  static readonly layer = Layer.effect(
    Verify,
    Effect.gen(function* () {
      const { onSnapshot } = yield* LogScan
      return Verify.of({ verify: onSnapshot(verifySnapshot) })
    })
  )
}

const verifySnapshot = Effect.fn("Verify.verify")(function* (snapshot: Snapshot) {
  const findings = new Findings()
  const used = yield* snapshot.usedLanes
  const lanes = new Set([...Array.from({ length: snapshot.lanes }, (_, lane) => lane), ...used])
  const seen = yield* Effect.forEach(lanes, (lane) =>
    Effect.map(checkLane(snapshot, lane, findings), (laneSeen) => ({ lane, ...laneSeen }))
  )
  const { streams, totals } = yield* checkStreams(snapshot, findings)
  for (const { head, lane } of seen) {
    const folded = totals.get(lane) ?? nothing
    const said = head ?? nothing
    const key = `lane ${lane} last_position ${head?.lastPosition ?? 0}`
    findings.expect("batches", key, "orders_total", folded.total, said.total)
    findings.expect("batches", key, "orders_processing", folded.processing, said.processing)
    findings.expect("batches", key, "orders_completed", folded.completed, said.completed)
    findings.expect("batches", key, "orders_failed", folded.failed, said.failed)
    findings.expect("batches", key, "orders_cancelled", folded.cancelled, said.cancelled)
  }
  for (const { lane, position } of yield* snapshot.cursors) {
    const last = seen.find((one) => one.lane === lane)?.head?.lastPosition ?? 0
    if (position > last) {
      findings.add({
        table: "cursors",
        key: `lane ${lane}`,
        column: "position",
        expected: `at most ${last}`,
        found: `${position}`
      })
    }
  }
  const report: VerifyReport = {
    ok: findings.count === 0,
    lanes: snapshot.lanes,
    events: seen.reduce((sum, { events }) => sum + events, 0),
    batches: seen.reduce((sum, { batches }) => sum + batches, 0),
    streams,
    findingCount: findings.count,
    findings: findings.kept
  }
  return report
})

/** The report as people read it. */
export const reportText = (report: VerifyReport): string => {
  const { batches, events, findingCount, findings, lanes, streams } = report
  const lines = [
    `${events} events of ${streams} streams in ${lanes} lanes, ${batches} batches`,
    ...findings.map(
      ({ column, expected, found, key, table }) => `${table}, ${key}: ${column} is ${found}, expected ${expected}`
    )
  ]
  if (findingCount > findings.length) lines.push(`… and ${findingCount - findings.length} more`)
  lines.push(
    report.ok
      ? "verified: positions, versions, hashes, batches, totals, lives, heads and the blotter are as they must be"
      : `NOT verified: ${findingCount} findings`
  )
  return lines.join("\n")
}
