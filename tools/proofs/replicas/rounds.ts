/**
 * What goes wrong in a round, and what is then expected of the others. Each gives the moment at which the fault began,
 * and what it took away from whom.
 */
import { Chance } from "../exactlyOnce/trials.ts"
import { pause } from "../programs.ts"
import type { CutKind } from "./Cut.ts"
import type { Held, Part, Replica, Stage } from "./Stage.ts"

export const kinds = ["kill", "stop", "postgres", "kafka", "exchange", "roll", "storm"] as const
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
