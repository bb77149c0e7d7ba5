/**
 * What the tests may see of the caller's environment: nothing that points to a real exchange, database or setting.
 *
 * A developer's shell may hold keys of a real account. Everything that `config.ts` would read is taken out of the
 * environment before the workers start, so neither a test nor a program started by one can reach it.
 */
const ours = /^(BINANCE_|NEXUS_|DATABASE_URL$|KAFKA_BROKERS$)/

/** Removes the program's settings from this process; gives back the one that the harness itself needs. */
export const takeEnvironment = (): { readonly kafkaBrokers: string | undefined } => {
  const kafkaBrokers = process.env.KAFKA_BROKERS
  for (const name of Object.keys(process.env)) if (ours.test(name)) delete process.env[name]
  return { kafkaBrokers: kafkaBrokers === "" ? undefined : kafkaBrokers }
}
