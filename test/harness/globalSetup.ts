/**
 * Starts what a test run shares: one PostgreSQL and one Kafka broker, side by side, and stops both.
 *
 * Only what the chosen files need is started, so that a unit test costs milliseconds: PostgreSQL for files named
 * *.integration.test.ts, *.sim.test.ts or *.proof.ts, Kafka for those of them that speak of Kafka. A Kafka that cannot be had
 * is a reason to skip, a PostgreSQL that cannot be had fails the run.
 */
import { existsSync, readFileSync } from "node:fs"
import type { TestProject } from "vitest/node"
import { findKafka, startBroker, type Broker } from "../../tools/kafka/Broker.ts"
import { takeEnvironment } from "./environment.ts"
import { startPostgres, type PostgresServer } from "./PostgresServer.ts"

declare module "vitest" {
  export interface ProvidedContext {
    /** Superuser URL of the run's PostgreSQL. Given to *.integration.test.ts and *.sim.test.ts only. */
    readonly pgUrl: string
    /** Bootstrap servers of the run's Kafka; null when there is none, for the reason beside it. */
    readonly kafkaBrokers: string | null
    readonly kafkaSkipReason: string | null
    /** Why a test cannot start a broker of its own; null when it can. */
    readonly ownBrokerSkipReason: string | null
  }
}

export default async (project: TestProject) => {
  const environment = takeEnvironment()
  const files = await chosenFiles(project)
  const postgres = files.length === 0 ? undefined : postgresWithTemplate()
  const kafka = files.some(speaksOfKafka) ? kafkaFor(environment.kafkaBrokers) : undefined

  const stop = async () => {
    const parts = await Promise.allSettled([postgres, kafka])
    for (const part of parts) if (part.status === "fulfilled") await part.value?.stop()
  }
  try {
    const [server, found] = await Promise.all([postgres, kafka])
    if (server !== undefined) project.provide("pgUrl", server.url)
    project.provide("kafkaBrokers", found?.brokers ?? null)
    project.provide("kafkaSkipReason", found?.skipReason ?? null)
    project.provide("ownBrokerSkipReason", found?.ownBrokerSkipReason ?? null)
  } catch (cause) {
    await stop()
    throw cause
  }
  return stop
}

const chosenFiles = async (project: TestProject): Promise<ReadonlyArray<string>> => {
  // The filters of the command line are not part of the public interface; without them every file counts as chosen.
  const filters: unknown = Reflect.get(project.vitest, "filenamePattern")
  const specifications = await project.vitest.globTestSpecifications(Array.isArray(filters) ? filters.map(String) : [])
  return specifications
    .map(({ moduleId }) => moduleId)
    .filter((file) => /\.((integration|sim)\.test|proof)\.ts$/.test(file))
}

const speaksOfKafka = (file: string) => /kafka/i.test(readFileSync(file, "utf8"))

// The template database is the storage layer's business: its module migrates it once, and files clone it.
const postgresWithTemplate = async (): Promise<PostgresServer> => {
  const server = await startPostgres()
  try {
    const template = new URL("template.ts", import.meta.url)
    if (existsSync(template)) {
      const { prepareTemplate }: { prepareTemplate: (url: string) => Promise<void> } = await import(template.href)
      await prepareTemplate(server.url)
    }
    return server
  } catch (cause) {
    await server.stop()
    throw cause
  }
}

interface FoundKafka {
  readonly brokers: string | null
  readonly skipReason: string | null
  readonly ownBrokerSkipReason: string | null
  readonly stop: () => Promise<void>
}

const kafkaFor = async (given: string | undefined): Promise<FoundKafka> => {
  const source = await findKafka()
  const ownBrokerSkipReason = source._tag === "None" ? source.reason : null
  if (given !== undefined) {
    return { brokers: given, skipReason: null, ownBrokerSkipReason, stop: () => Promise.resolve() }
  }
  if (source._tag === "None") {
    return { brokers: null, skipReason: source.reason, ownBrokerSkipReason, stop: () => Promise.resolve() }
  }
  const broker: Broker = await startBroker({ source })
  return { brokers: broker.brokers, skipReason: null, ownBrokerSkipReason, stop: broker.stop }
}
