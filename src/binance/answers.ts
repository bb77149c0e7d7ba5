/**
 * From the body of a 2XX answer to its shape. A body that does not parse, or is of another shape, says nothing:
 * the request was very likely carried out, so it is OutcomeUnknown and never a refusal.
 */
import { Effect, Result, Schema } from "effect"
import type { BinanceError } from "./BinanceError.ts"
import { OutcomeUnknown } from "./BinanceError.ts"
import type { Answer } from "./classify.ts"
import type { Endpoint } from "./Gateway.ts"
import { errorOf } from "./Gateway.ts"
import { clean, parseJson } from "./wire.ts"

/** Items decoded before other fibers get their turn: some 5 ms. */
const itemsPerTurn = 256

export const decodeAnswer = <A, I>(
  endpoint: Endpoint,
  schema: Schema.Codec<A, I>,
  answer: Answer
): Effect.Effect<A, BinanceError> =>
  Effect.fromResult(
    Result.flatMap(parseJson(answer.body), Schema.decodeUnknownResult(schema)).pipe(
      Result.mapError((cause) => unreadable(endpoint, cause))
    )
  )

/** A part of an answer that was parsed before. */
export const decodeValue = <A, I>(
  endpoint: Endpoint,
  schema: Schema.Codec<A, I>,
  value: unknown
): Effect.Effect<A, BinanceError> =>
  Effect.fromResult(Result.mapError(Schema.decodeUnknownResult(schema)(value), (cause) => unreadable(endpoint, cause)))

/** A list, item by item, without holding up whoever waits for the processor. */
export const decodeList = Effect.fnUntraced(function* <A, I>(
  endpoint: Endpoint,
  schema: Schema.Codec<A, I>,
  answer: Answer
) {
  return yield* decodeItems(endpoint, schema, yield* decodeAnswer(endpoint, List, answer))
})

const List = Schema.Array(Schema.Unknown)

export const decodeItems = Effect.fnUntraced(function* <A, I>(
  endpoint: Endpoint,
  schema: Schema.Codec<A, I>,
  items: ReadonlyArray<unknown>
) {
  const decode = Schema.decodeUnknownResult(schema)
  const decoded: Array<A> = []
  for (const item of items) {
    const one = decode(item)
    if (Result.isFailure(one)) return yield* unreadable(endpoint, one.failure)
    decoded.push(one.success)
    if (decoded.length % itemsPerTurn === 0) yield* Effect.yieldNow
  }
  return decoded
})

export const unreadable = (endpoint: Endpoint, cause: { readonly message: string }): BinanceError =>
  errorOf(endpoint, new OutcomeUnknown({ cause: new Error(`the answer could not be read: ${clean(cause.message)}`) }))

export const aboutAnother = new Error("it is about another order")
