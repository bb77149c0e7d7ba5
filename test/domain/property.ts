/**
 * A property with a fixed seed: the same cases in every run. A falsified one prints its smallest case and a
 * replay token; `checkEffect(…, { replay })` with that token runs exactly this case again.
 */
import { assert } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"

/** For every case: `faultsOf` names what is wrong with it, and nothing is. A thrown error is a fault too. */
export const holds = Effect.fnUntraced(function* <A>(
  cases: Arbitrary.Arbitrary<A>,
  faultsOf: (value: A) => ReadonlyArray<string>,
  options: { readonly runs: number; readonly seed: number; readonly size: number }
) {
  const property = (value: A) =>
    Effect.try({ try: () => faultsOf(value), catch: (error) => [String(error)] }).pipe(
      Effect.flatMap((faults) => (faults.length === 0 ? Effect.succeed(true) : Effect.fail(faults)))
    )
  const failure = Arbitrary.formatCheckFailure(yield* Arbitrary.checkEffect(cases, property, options))
  if (failure !== undefined) assert.fail(failure)
})
