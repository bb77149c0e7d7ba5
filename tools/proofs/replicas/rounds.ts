/**
 * What goes wrong in a round, and what is then expected of the others. Each gives the moment at which the fault began,
 * and what it took away from whom.
 */
import { Chance } from "../exactlyOnce/trials.ts"
import { pause } from "../programs.ts"
import type { CutKind } from "./Cut.ts"
import type { Held, Part, Replica, Stage } from "./Stage.ts"

export const kinds = ["kill", "stop", "postgres", "kafka", "exchange", "outage", "terminate", "roll", "storm"] as const
export type Kind = (typeof kinds)[number]

export interface Outcome {
  /** What must have moved, from when on. */
  readonly lost: ReadonlyArray<Held>
  readonly since: number
  readonly limitMillis: number
  readonly detail: string
  /** Sentences; none is good. */
  readonly faults: ReadonlyArray<string>
  /** Nothing may fail at the balancer. */
  readonly isFlawless: boolean
}

export interface Settings {
  readonly pauseMillis: number
  readonly cutMillis: number
}

const killedMillis = 5_000
const otherwiseMillis = 10_000
/** A kill -9 leaves nothing to wait for; the load goes on so long before and after. */
const calmMillis = 3_000
const exitMillis = 25_000
const stormMillis = 20_000
/** Longer than each lease lives and each command waits. */
const outageMillis = 10_000
const lookMillis = 100

/** The single work that a cut from this part takes away. */
const needs: Readonly<Record<Part, (role: string) => boolean>> = {
  postgres: () => true,
  kafka: (role) => role.startsWith("relay/"),
  exchange: (role) => role === "user-stream" || role === "reconciler"
}

export const fault = async (
  stage: Stage,
  kind: Kind,
  number: number,
  seed: number,
  settings: Settings
): Promise<Outcome> => {
  await stage.untilSpread()
  await pause(calmMillis)
  switch (kind) {
    case "kill":
      return kill(stage, number)
    case "stop":
      return stop(stage, number, settings.pauseMillis)
    case "outage":
      return outage(stage)
    case "terminate":
      return terminate(stage)
    case "roll":
      return roll(stage)
    case "storm":
      return storm(stage, new Chance(seed + number))
    default:
      return cut(stage, kind, number, settings.cutMillis)
  }
}

/** Whoever has the user stream, then whoever has the reconciler: both have lanes besides. */
const victimOf = (stage: Stage, number: number): Promise<Replica> =>
  stage.holderOf(number % 2 === 0 ? "user-stream" : "reconciler")

const isJudged = ({ role }: Held) => role !== "auditor"

const kill = async (stage: Stage, number: number): Promise<Outcome> => {
  const victim = await victimOf(stage, number)
  const lost = (await victim.held()).filter(isJudged)
  const since = Date.now()
  await victim.program.stop("SIGKILL")
  await pause(killedMillis)
  await victim.program.start()
  await pause(calmMillis)
  return {
    lost,
    since,
    limitMillis: killedMillis,
    detail: `replica ${victim.index} killed`,
    faults: [],
    isFlawless: false
  }
}

const stop = async (stage: Stage, number: number, millis: number): Promise<Outcome> => {
  const victim = await victimOf(stage, number)
  const lost = (await victim.held()).filter(isJudged)
  const since = Date.now()
  victim.program.child?.kill("SIGSTOP")
  await pause(millis)
  victim.program.child?.kill("SIGCONT")
  await pause(calmMillis)
  return {
    lost,
    since,
    limitMillis: otherwiseMillis,
    detail: `replica ${victim.index} stood still for ${millis / 1_000} s`,
    faults: [],
    isFlawless: false
  }
}

const cut = async (stage: Stage, part: Part, number: number, millis: number): Promise<Outcome> => {
  const victim = part === "kafka" ? await stage.holderOf("relay/0") : await victimOf(stage, number)
  const kind: CutKind = number % 2 === 0 ? "silent" : "refusing"
  const lost = (await victim.held()).filter(isJudged).filter(({ role }) => needs[part](role))
  const since = Date.now()
  for (const one of victim.cuts[part]) one.cut(kind)
  await pause(millis)
  for (const one of victim.cuts[part]) one.heal()
  await pause(calmMillis)
  return {
    lost,
    since,
    limitMillis: otherwiseMillis,
    detail: `replica ${victim.index} cut off from ${part} (${kind}) for ${millis / 1_000} s`,
    faults: [],
    isFlawless: false
  }
}

const laneOf = (role: string): number => Number(role.slice("relay/".length))
const isLane = ({ role }: { readonly role: string }) => role.startsWith("relay/")

/** Until the cursor of each lane was written since then, or the time is over; says when, and complains of those that were not. */
const moveAgain = async (stage: Stage, lanes: ReadonlyArray<number>, since: number, limitMillis: number) => {
  let writes = await stage.witness.firstWrites(since)
  while (!lanes.every((lane) => writes.has(lane)) && Date.now() - since < limitMillis) {
    await pause(lookMillis)
    writes = await stage.witness.firstWrites(since)
  }
  const took = lanes.map((lane) => ({ lane, millis: (writes.get(lane)?.at ?? Number.POSITIVE_INFINITY) - since }))
  return {
    writes,
    detail: took.map(({ lane, millis }) => `lane ${lane} after ${(millis / 1_000).toFixed(2)} s`).join(", "),
    faults: took
      .filter(({ millis }) => millis > limitMillis)
      .map(({ lane }) => `the cursor of lane ${lane} did not move within ${limitMillis / 1_000} s`)
  }
}

/** PostgreSQL itself is away, so every lease ends; what is judged is how soon each lane goes on after its return. */
const outage = async (stage: Stage): Promise<Outcome> => {
  const lanes = (await stage.witness.leases()).filter(isLane).map(({ role }) => laneOf(role))
  const since = Date.now()
  const returned = await stage.withoutPostgres(outageMillis)
  const { detail, faults } = await moveAgain(stage, lanes, returned, otherwiseMillis)
  await pause(calmMillis)
  return {
    lost: [],
    since,
    limitMillis: otherwiseMillis,
    detail: `PostgreSQL away for ${outageMillis / 1_000} s under all; ${detail} from its return`,
    faults,
    isFlawless: false
  }
}

/** An owner loses all its sessions and nothing else: it keeps what it owns, for it connects again long before a lease ends. */
const terminate = async (stage: Stage): Promise<Outcome> => {
  const victim = await stage.holderOf("relay/0")
  const held = (await victim.held()).filter(isJudged)
  const before = await stage.witness.leases()
  const since = Date.now()
  const sessions = await stage.terminateSessions(victim)
  const lanes = held.filter(isLane).map(({ role }) => laneOf(role))
  const { detail, faults, writes } = await moveAgain(stage, lanes, since, killedMillis)
  await pause(calmMillis)
  const after = await stage.witness.leases()
  const moved = held.flatMap(({ epoch, role }) => {
    const [was, is] = [before, after].map((leases) => leases.find((one) => one.role === role))
    const isKept = is?.owner === was?.owner && is?.epoch === epoch
    return isKept ? [] : [`${role} went from epoch ${epoch} to ${is?.epoch}`]
  })
  const foreign = held.filter(isLane).filter(({ epoch, role }) => (writes.get(laneOf(role))?.epoch ?? epoch) !== epoch)
  return {
    lost: [],
    since,
    limitMillis: killedMillis,
    detail: `${sessions} sessions of replica ${victim.index} terminated, it holds ${held.length} roles; ${detail}`,
    faults: [
      ...(sessions === 0 ? ["it had no session"] : []),
      ...faults,
      ...moved,
      ...foreign.map(({ role }) => `${role} was written under another epoch`)
    ],
    isFlawless: false
  }
}

const roll = async (stage: Stage): Promise<Outcome> => {
  const faults: Array<string> = []
  const took: Array<string> = []
  const since = Date.now()
  for (const replica of stage.replicas) {
    const asked = Date.now()
    const code = await replica.program.stop("SIGTERM")
    const millis = Date.now() - asked
    took.push(`${(millis / 1_000).toFixed(1)} s`)
    if (code !== 0) faults.push(`replica ${replica.index} ended with ${code}`)
    if (millis > exitMillis) faults.push(`replica ${replica.index} took ${millis} ms to end`)
    await replica.program.start()
    while (!stage.balancer.isReady(replica.index)) await pause(50)
  }
  await pause(calmMillis)
  // Each was asked at another moment, and its drain comes before it gives anything back: the gaps are judged.
  return {
    lost: [],
    since,
    limitMillis: otherwiseMillis,
    detail: `ended in ${took.join(", ")}`,
    faults,
    isFlawless: true
  }
}

const storm = async (stage: Stage, chance: Chance): Promise<Outcome> => {
  const since = Date.now()
  const done = { kills: 0, stops: 0 }
  const faults: Array<string> = []
  while (Date.now() - since < stormMillis) {
    const replica = chance.one(stage.replicas)
    const isKill = chance.next() < 0.5
    if (isKill) done.kills += 1
    else done.stops += 1
    const code = await replica.program.stop(isKill ? "SIGKILL" : "SIGTERM")
    if (!isKill && code !== 0) faults.push(`replica ${replica.index} ended with ${code}`)
    await pause(chance.whole(0, 2_000))
    await replica.program.start()
    await pause(chance.whole(500, 2_000))
  }
  await pause(calmMillis)
  return {
    lost: [],
    since,
    limitMillis: Number.POSITIVE_INFINITY,
    detail: `${done.kills} killed and ${done.stops} ended one after the other, each started again`,
    faults,
    isFlawless: false
  }
}
