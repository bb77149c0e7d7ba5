/** The limit of PostgreSQL: the same rows by pgbench, each client a connection, each order a transaction of its own. */
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { output } from "./child.ts"
import type { BenchPostgres } from "./postgres.ts"

export interface Pgbench {
  readonly version: string
  readonly run: (clients: number, seconds: number) => Promise<{ readonly perSecond: number; readonly average: number }>
}

const schema = "limits"
const database = "nexus"
const user = "nexus"

/** Copies our tables with their indexes into a schema of their own. */
export const makePgbench = async (postgres: BenchPostgres): Promise<Pgbench> => {
  const program = find()
  await postgres.run([
    `create schema ${schema}`,
    ...["streams", "events", "orders"].map(
      (table) => `create table ${schema}.${table} (like public.${table} including all)`
    ),
    ...["streams", "orders"].map((table) => `alter table ${schema}.${table} set (fillfactor = 75)`),
    `create sequence ${schema}.positions`
  ])
  const version = (await output(program, ["--version"])).trim()
  return {
    version,
    run: async (clients, seconds) => {
      const where = `--host=127.0.0.1 --port=${postgres.port} --username=${user}`
      const how = `--no-vacuum --protocol=prepared --jobs=2 --client=${clients} --time=${seconds}`
      const script = join(import.meta.dirname, "append.sql")
      const said = await output(program, [...`${where} ${how}`.split(" "), `--file=${script}`, database])
      return { perSecond: figure(said, /tps = ([\d.]+)/), average: figure(said, /latency average = ([\d.]+) ms/) }
    }
  }
}

const figure = (said: string, pattern: RegExp): number => {
  const found = pattern.exec(said)?.[1]
  if (found === undefined) throw new Error(`pgbench did not say ${pattern}: ${said}`)
  return Number(found)
}

/** Debian has it below the server's version, newest last, and not always in the path. */
const find = (): string => {
  const versions = "/usr/lib/postgresql"
  const installed = existsSync(versions) ? readdirSync(versions).sort((a, b) => Number(b) - Number(a)) : []
  const candidates = [
    ...installed.map((version) => join(versions, version, "bin/pgbench")),
    ...(process.env.PATH ?? "").split(":").map((folder) => join(folder, "pgbench"))
  ]
  const found = candidates.find((each) => existsSync(each))
  if (found === undefined)
    throw new Error("pgbench is missing: install it (Debian: postgresql-contrib, or postgresql-15)")
  return found
}
