/**
 * `nexus resolve`: through the engine's one door, on the store of whatever serves now. The append compares versions,
 * so it needs no program to be asked and disturbs none.
 */
import { Console, Effect } from "effect"
import * as Decimal from "../domain/Decimal.ts"
import type { OrderId } from "../domain/Ids.ts"
import { DoubtStories, evidenceOf } from "../engine/DoubtStories.ts"
import { Engine } from "../engine/Engine.ts"
import { NotConfirmedYet } from "./NotConfirmedYet.ts"

export const resolve = (decision: {
  readonly orderId: OrderId
  readonly as: "COMPLETED" | "FAILED" | "CANCELLED"
  readonly by: string
  readonly reason: string
}) =>
  Effect.gen(function* () {
    const engine = yield* Engine
    const story = yield* (yield* DoubtStories).of(decision.orderId)
    const evidence = story === null ? [] : evidenceOf(story)
    const { order } = yield* Effect.catchTags(engine.resolve({ ...decision, evidence }), {
      Busy: () => new NotConfirmedYet({}),
      NotConfirmed: () => new NotConfirmedYet({})
    })
    const filled = `${Decimal.format(order.filledQuantity)} filled`
    yield* Console.log(
      [`order ${decision.orderId} is ${order.status} by decision of ${decision.by}, ${filled}`, ...evidence].join(
        "\n  "
      )
    )
  })
