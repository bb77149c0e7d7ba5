/**
 * Proof: two releases on one store, forward and back, under load. Nothing is lost, nothing is done twice, and no request
 * fails.
 *
 *   npm run test:upgrade [-- --from COMMIT] [--to COMMIT] [--only git|later] [--seconds 5] [--rate 40] [--seed 1] [--keep]
 *
 * Twice: from the newest commit without this release's newest migration to this release (its files as they are; `--to`: as
 * a commit has them), and from this release to one made later than it (upgrade/laterRelease.ts). Each time the later one
 * first serves on the older schema; its migration is killed with -9 at named points and at random; both serve side by
 * side; all goes back to the older one on the later schema, and forward again. The made one also writes an event that
 * this release does not know. `--seconds` is how long each state is kept under load. KAFKA_BROKERS is taken from the
 * environment; without it a broker is started.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { parseArgs } from "node:util"
import { findKafka } from "../kafka/Broker.ts"
import { Chance } from "./exactlyOnce/trials.ts"
import { pause } from "./programs.ts"
import { load, settle } from "./replicas/load.ts"
import { few, verdict } from "./replicas/verdict.ts"
import type { Intent } from "./soak/Traffic.ts"
import { killAt, killSometime, type Point, points, schemaOf } from "./upgrade/killedMigration.ts"
import { laterEvents } from "./upgrade/laterEvents.ts"
import {
  commitBefore,
  laterRelease,
  NoRelease,
  previousCommit,
  type Release,
  releaseOf,
  thisRelease
} from "./upgrade/releases.ts"
import { Stage } from "./upgrade/Stage.ts"

const { values } = parseArgs({
  options: {
    from: { type: "string" },
    to: { type: "string" },
    only: { type: "string", default: "" },
    seconds: { type: "string", default: "5" },
    rate: { type: "string", default: "40" },
    seed: { type: "string", default: "1" },
    keep: { type: "boolean", default: false }
  }
})
const stateMillis = Number(values.seconds) * 1_000
const rate = Number(values.rate)
const seed = Number(values.seed)
const exitMillis = 25_000
const randomKills = 3

let [passed, failed, skipped] = [0, 0, 0]
const report = (what: string, isGood: boolean, detail: string): void => {
  if (isGood) passed += 1
  else failed += 1
  console.log(`${isGood ? "PASS" : "FAIL"} ${what}: ${detail}`)
}

/** Each process in its turn, as a rolling update does. */
const roll = async (stage: Stage, name: string, release: Release): Promise<void> => {
  const ends = []
  for (const slot of stage.slots) {
    ends.push(await stage.replace(slot, release))
    await pause(stateMillis)
  }
  report(
    name,
    ends.every(({ code, millis }) => code === 0 && millis <= exitMillis),
    ends.map(({ code, millis }) => `ended with ${code} after ${(millis / 1_000).toFixed(1)} s`).join(", ")
  )
}

const migrations = async (stage: Stage, later: Release): Promise<void> => {
  const before = await schemaOf(stage.witness)
  for (const point of Object.keys(points) as ReadonlyArray<Point>) {
    const died = await killAt(stage, later, point)
    const isUnchanged = (await schemaOf(stage.witness)) === before
    report(
      `the migration is killed while it ${point}`,
      died && isUnchanged,
      isUnchanged ? "nothing changed" : "changed"
    )
  }
  const chance = new Chance(seed)
  let died = 0
  let isWhole = true
  for (let time = 0; time < randomKills; time++) {
    if (await killSometime(stage, later, chance)) died += 1
    const after = await schemaOf(stage.witness)
    isWhole &&= after === before || later.files.every((file) => after.includes(file))
  }
  report(
    "the migration is killed at random",
    isWhole,
    `${died} of ${randomKills} times before it had ended; never half`
  )
  const both = await Promise.all([stage.command(later, "migrate"), stage.command(later, "migrate")])
  const after = await schemaOf(stage.witness)
  report(
    "two migrations at once, to the end, while the older release serves",
    both.every(({ code }) => code === 0) && later.files.every((file) => after.includes(file)),
    both.map(({ out }) => lastLine(out)).join("; ")
  )
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? ""

const scenario = async (older: Release, later: Release, folder: string): Promise<void> => {
  const steps = later.files.filter((file) => !older.files.includes(file))
  console.log(`${older.name} → ${later.name}: ${steps.join(", ") || "the same schema"}`)
  const begun = Date.now()
  const acknowledged = new Map<string, Intent>()
  const stage = await Stage.open({ folder, first: older, seed, brokers, source })
  open.add(stage)
  // A machine that has nothing to spare keeps us waiting as it does the balancer's probes: told beside what failed.
  const lateness = monitorEventLoopDelay()
  lateness.enable()
  try {
    let isOver = false
    const { api, exchange } = stage
    const loading = load({ api, exchange, name: "upgrade", rate, seed, acknowledged, isEnough: () => isOver })
    try {
      await pause(stateMillis)
      const { code } = await stage.replace(0, later)
      await pause(stateMillis)
      report(
        `${later.name} serves ${steps.length > 0 ? "before its migration, " : ""}beside the older one`,
        code === 0,
        "ready"
      )
      if (steps.length > 0) await migrations(stage, later)
      await pause(stateMillis)
      await roll(stage, "forward", later)
      await roll(stage, "back, on the later schema", older)
      await roll(stage, "forward again", later)
    } finally {
      isOver = true
    }
    const loaded = await loading
    const settledMillis = await settle(stage.replicas[0]!, Date.now())
    const { failures } = stage.balancer
    report(
      "under load",
      loaded.surprises.length === 0 && failures.length === 0,
      `${loaded.sent} orders at ${rate}/s, p99 ${Math.round(loaded.p99)} ms with retries, ` +
        `${failures.length} requests failed at the balancer, this process waited ` +
        `${Math.round(lateness.max / 1e6)} ms for its turn at most${few(failures.map(({ what }) => what))}${few(loaded.surprises)}`
    )
    await verdict(stage, later.name, acknowledged, settledMillis, report)
    const verified = await stage.command(older, "verify")
    report(`${older.name}: nexus verify`, verified.code === 0, lastLine(verified.out))
    if (later.isMade) await laterEvents(stage, older, later, report)
  } finally {
    open.delete(stage)
    await stage.close()
  }
  console.log(`     took ${Math.round((Date.now() - begun) / 1_000)} s`)
}

const brokers = process.env["KAFKA_BROKERS"] ?? null
const source = await findKafka()
if (brokers === null && source._tag === "None") {
  console.log(`SKIP the run: ${source.reason}`)
  console.log("0 passed, 0 failed, 1 skipped")
  process.exit(0)
}
const open = new Set<Stage>()
const folder = mkdtempSync(join(tmpdir(), "nexus-upgrade-"))
chmodSync(folder, 0o755)
const leave = () => {
  void Promise.all(Array.from(open, (stage) => stage.close())).finally(() => process.exit(130))
}
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, leave)
console.log(`2 processes, ${rate} orders/s, seed ${seed}; logs in ${folder}`)
const begun = Date.now()

const now = values.to === undefined ? thisRelease(join(folder, "this")) : releaseOf(values.to, join(folder, "this"))
const scenarios: Readonly<Record<string, () => Promise<void>>> = {
  git: () => {
    const commit = values.from ?? previousCommit(now, values.to === undefined ? commitBefore() : `${values.to}^`)
    return scenario(releaseOf(commit, join(folder, "previous")), now, join(folder, "git"))
  },
  later: () => scenario(now, laterRelease(join(folder, "later-release"), now), join(folder, "later"))
}
for (const [name, play] of Object.entries(scenarios)) {
  if (values.only !== "" && values.only !== name) continue
  try {
    await play()
  } catch (error) {
    if (error instanceof NoRelease) {
      skipped += 1
      console.log(`SKIP the previous release: ${error.message}`)
    } else report("the run", false, error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
}
const keep = values.keep || failed > 0
if (keep) console.log(`     kept ${folder}`)
else rmSync(folder, { recursive: true, force: true })
console.log(`     ${Math.round((Date.now() - begun) / 1_000)} s`)
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
process.exit(failed === 0 ? 0 : 1)
