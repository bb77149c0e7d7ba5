/** What the rows of the engine's keys share: an engine under other settings, and a store that is held for a while. */
import { assert } from "@effect/vitest"
import { type Context, Effect, type Layer } from "effect"
import { asAdministrator } from "../harness/template.ts"
import { ExchangeScript, market, ScriptedExchange, TestNexus, type TestNexusOptions } from "../layers.ts"
import type { Outcome, ScriptedOptions } from "../ScriptedExchange.ts"

const layerOf = (outcomes: ReadonlyArray<Outcome>, options: TestNexusOptions & ScriptedOptions) =>
  TestNexus.on(ScriptedExchange(outcomes, options), options)

type Provided = Layer.Success<ReturnType<typeof layerOf>>

/** What a row is handed: the engine, the exchange, and a database to look into. */
export interface Driven {
  readonly nexus: Context.Service.Shape<typeof TestNexus>
  readonly exchange: Context.Service.Shape<typeof ExchangeScript>
}

/** Runs a test on an engine with these settings of the environment. */
export const onEngine =
  <E>(
    env: Readonly<Record<string, string>>,
    test: (driven: Driven) => Effect.Effect<void, E, Provided>,
    options: TestNexusOptions & ScriptedOptions & { readonly outcomes?: ReadonlyArray<Outcome> } = {}
  ) =>
  (): Promise<void> =>
    Effect.gen(function* () {
      yield* test({ nexus: yield* TestNexus, exchange: yield* ExchangeScript })
    }).pipe(Effect.provide(layerOf(options.outcomes ?? [], { ...options, env })), Effect.runPromise)

export const buy = market("BUY", "0.01")

/** No append comes through until this has ended. */
export const whileHeld = <A, E, R>(url: string, use: Effect.Effect<A, E, R>): Effect.Effect<A, never, R> =>
  asAdministrator(url, (sql) => sql.withTransaction(Effect.andThen(sql`lock table streams`, use)))

const pollMillis = 10
const limitMillis = 15_000

export const until = <E, R>(what: string, condition: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    const start = performance.now()
    while (!(yield* condition)) {
      if (performance.now() - start > limitMillis) return yield* Effect.die(new Error(`never came true: ${what}`))
      yield* Effect.sleep(pollMillis)
    }
  })

/**
 * Comes to this number and stays there while it is watched. Only time shows that something does not happen; the
 * watch is longer than the default of the key would need.
 */
export const settlesAt = <E, R>(expected: number, watchMillis: number, count: Effect.Effect<number, E, R>) =>
  Effect.gen(function* () {
    yield* until(
      `${expected}`,
      Effect.map(count, (seen) => seen >= expected)
    )
    const start = performance.now()
    while (performance.now() - start < watchMillis) {
      assert.strictEqual(yield* count, expected)
      yield* Effect.sleep(pollMillis)
    }
  })

export const submissions = ({ exchange }: Driven) => Effect.map(exchange.submissions, (all) => all.length)

export const asked = ({ exchange }: Driven, question: string) =>
  Effect.map(exchange.asked, (counts) => counts[question] ?? 0)
