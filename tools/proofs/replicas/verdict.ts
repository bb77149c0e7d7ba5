/**
 * What must be true once everything has settled, whatever was done to the processes: cursors fenced, nothing lost,
 * nothing twice (by the exchange's own ledger), all of it in Kafka and effective there once, the same counts everywhere, and a log that verifies.
 */
import { pause } from "../programs.ts"
import { judge } from "../soak/judge.ts"
import type { Intent } from "../soak/Traffic.ts"
import { inTimeMillis, type Metered } from "./load.ts"
import type { Reader } from "./Reader.ts"
import type { Witness } from "./Witness.ts"

/** Says one sentence of the proof, and whether it holds. */
export type Report = (what: string, isGood: boolean, detail: string) => void

export interface Judged {
  readonly api: string
  readonly control: string
  readonly replicas: ReadonlyArray<Metered>
  readonly witness: Witness
  readonly reader: Reader
  readonly verify: () => Promise<{ readonly code: number | null; readonly out: string }>
}

const kafkaMillis = 15_000

/** The first few of what was found, for a line. */
export const few = (found: ReadonlyArray<string>): string =>
  found.length === 0 ? "" : `; ${found.slice(0, 3).join("; ")}${found.length > 3 ? "; …" : ""}`

export const verdict = async (
  stage: Judged,
  name: string,
  acknowledged: ReadonlyMap<string, Intent>,
  settledMillis: number | null,
  report: Report
): Promise<void> => {
  const writes = await stage.witness.cursorWrites()
  report(
    `${name}: fenced`,
    writes.stale === 0 && writes.astray === 0,
    `${writes.all} writes of cursors, ${writes.stale} under an old epoch, ${writes.astray} astray`
  )
  report(
    `${name}: settled in time`,
    settledMillis !== null && settledMillis <= inTimeMillis,
    settledMillis === null ? "never" : `${(settledMillis / 1_000).toFixed(1)} s, promised ${inTimeMillis / 1_000} s`
  )
  const found = await judge(stage.api, stage.control, acknowledged)
  const bad = [
    ...found.lost.map((id) => `${id} is lost`),
    ...found.unasked.map((id) => `${id} was not asked for`),
    ...found.stuck,
    ...found.unknown
  ]
  report(
    `${name}: nothing lost`,
    bad.length === 0 && found.orphans.length === 0,
    `${acknowledged.size} orders acknowledged, ${found.lost.length} lost, ${found.stuck.length} stuck, ${found.orphans.length} orphans${few([...bad, ...found.orphans])}`
  )
  const twice = [...found.acceptedTwice, ...found.executedTwice, ...found.differs]
  report(
    `${name}: nothing twice`,
    twice.length === 0,
    `${found.executed} executed in ${found.trades} trades, ${found.acceptedTwice.length} accepted twice, ${found.executedTwice.length} executed twice, ${found.differs.length} differ from the ledger${few(twice)}`
  )
  await inKafka(stage, name, report)
  await counted(stage, name, acknowledged.size, report)
  const verified = await stage.verify()
  report(
    `${name}: nexus verify`,
    verified.code === 0,
    verified.code === 0 ? lastLine(verified.out) : verified.out.slice(0, 600)
  )
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? ""

const inKafka = async (stage: Judged, name: string, report: Report): Promise<void> => {
  const heads = await stage.witness.heads()
  const missing = () => heads.reduce((sum, { head, lane }) => sum + stage.reader.missing(lane, 1, head), 0)
  const end = Date.now() + kafkaMillis
  while (missing() > 0 && Date.now() < end) await pause(200)
  const events = heads.reduce((sum, { head }) => sum + head, 0)
  report(
    `${name}: complete in Kafka`,
    missing() === 0 && stage.reader.faults.length === 0,
    `${events} positions on ${heads.length} lanes, ${missing()} missing, ${stage.reader.repeats} repeats${few(stage.reader.faults)}`
  )
  report(
    `${name}: effects once`,
    stage.reader.effects === events,
    `${stage.reader.effects} effects of ${events} events, told apart by order id and version alone`
  )
}

const countNames = ["orders_total", "orders_processing", "orders_completed", "orders_failed", "orders_cancelled"]

const counted = async (stage: Judged, name: string, expected: number, report: Report): Promise<void> => {
  const all = await Promise.all(
    stage.replicas.map((replica) => Promise.all(countNames.map((metric) => replica.figure(metric))))
  )
  const [total = Number.NaN, ...parts] = all[0]!
  const isSame = all.every((one) => JSON.stringify(one) === JSON.stringify(all[0]))
  report(
    `${name}: counts agree`,
    isSame && total === expected && total === parts.reduce((sum, n) => sum + n, 0),
    isSame ? `${total} = ${parts.join(" + ")} on ${all.length} replicas` : JSON.stringify(all)
  )
}
