/**
 * `nexus migrate`, killed with -9 at points that are held open for it by locks, and at moments of its work drawn by chance. Whatever
 * the point, the schema is afterwards as it was before, or wholly as it will be.
 */
import { spawn } from "node:child_process"
import { join } from "node:path"
import type { Chance } from "../exactlyOnce/trials.ts"
import { pause } from "../programs.ts"
import { Witness } from "../replicas/Witness.ts"
import type { Release } from "./releases.ts"
import type { Stage } from "./Stage.ts"

/** Held by us, so that the migration waits there. */
export const points = {
  "waits for its turn": ["select pg_advisory_lock(7300)"],
  "has changed the schema and not yet written that down": ["begin", "lock table schema_migrations in share mode"]
} as const
export type Point = keyof typeof points

/** A start takes a second; on a machine that has nothing to spare, many. */
const reachMillis = 120_000
/** A migration at work under load, from its first statement to its commit. */
const atWorkMillis = 150

/** All that a migration can change, as one text. */
export const schemaOf = async (witness: Witness): Promise<string> =>
  JSON.stringify(
    await witness.ask(
      `select (select json_agg(file order by file) from schema_migrations) as files,
         (select count(*)::int from pg_class where relnamespace = 'public'::regnamespace) as relations,
         (select count(*)::int from pg_attribute join pg_class c on c.oid = attrelid
           where relnamespace = 'public'::regnamespace and attnum > 0) as columns,
         (select count(*)::int from pg_proc where pronamespace = 'public'::regnamespace) as functions`
    )
  )

const begin = (stage: Stage, release: Release) => {
  const child = spawn(process.execPath, [join(release.root, "src/cli.ts"), "migrate"], {
    cwd: release.root,
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...stage.environment },
    stdio: "ignore"
  })
  const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)))
  return { child, ended }
}

const waiting = `select count(*)::int as n from pg_stat_activity
  where datname = current_database() and application_name = 'nexus migrate' and wait_event_type = 'Lock'`
const present = `select count(*)::int as n from pg_stat_activity
  where datname = current_database() and application_name = 'nexus migrate'`

const until = async (witness: Witness, question: string, isIt: (n: number) => boolean): Promise<boolean> => {
  const end = Date.now() + reachMillis
  while (Date.now() < end) {
    const [row] = await witness.ask(question)
    if (isIt(Number(row?.["n"]))) return true
    await pause(5)
  }
  return false
}

/** True: it was there, and died there. */
export const killAt = async (stage: Stage, release: Release, point: Point): Promise<boolean> => {
  const holder = await Witness.open(stage.databaseUrl)
  try {
    for (const statement of points[point]) await holder.ask(statement)
    const { child, ended } = begin(stage, release)
    const wasThere = await until(stage.witness, waiting, (n) => n > 0)
    child.kill("SIGKILL")
    await ended
    return wasThere
  } finally {
    // Its server process waits for us too, and finds only then that nobody is left to answer.
    await holder.close()
    await until(stage.witness, present, (n) => n === 0)
  }
}

/** True: it died before it had ended. */
export const killSometime = async (stage: Stage, release: Release, chance: Chance): Promise<boolean> => {
  const { child, ended } = begin(stage, release)
  await Promise.race([until(stage.witness, present, (n) => n > 0), ended])
  await Promise.race([pause(chance.whole(0, atWorkMillis)), ended])
  child.kill("SIGKILL")
  const code = await ended
  await until(stage.witness, present, (n) => n === 0)
  return code === null
}
