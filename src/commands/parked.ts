/** `nexus parked list | show | retry | skip`: the orders that wait for an operator, and the operator's word on one. */
import { Console, DateTime, Effect, Schema } from "effect"
import type { UnparkAct } from "../domain/Event.ts"
import type { OrderId } from "../domain/Ids.ts"
import { Engine } from "../engine/Engine.ts"
import { Parked } from "../sql/Parked.ts"
import { NotConfirmedYet } from "./NotConfirmedYet.ts"
import { table } from "./table.ts"

// As many as a person reads at a time.
const parkedRows = 100

/** `nexus parked list`: the orders that wait for an operator. */
export const listParked = ({ after }: { readonly after: string | null }) =>
  Effect.gen(function* () {
    const orders = yield* (yield* Parked).orders({ after, limit: parkedRows })
    if (orders.length === 0) return yield* Console.log("no order is parked")
    const lines = orders.map(({ at, orderId, reason, status, symbol }) => [
      orderId,
      symbol,
      status,
      DateTime.formatIso(DateTime.makeUnsafe(at)),
      reason
    ])
    yield* Console.log(table([["order", "symbol", "status", "parked", "reason"], ...lines]))
    if (orders.length === parkedRows) {
      yield* Console.log(`more: nexus parked list --after ${orders.at(-1)?.orderId ?? ""}`)
    }
  })

/** There is nothing to show or to do: the order goes on by itself. */
class NotParked extends Schema.TaggedError<NotParked>()("NotParked", { orderId: Schema.String }) {
  override get message() {
    return `no order ${this.orderId} is parked`
  }
}

/** `nexus parked show`: why, what could not be handled, and what of it could not be sent. */
export const showParked = ({ orderId }: { readonly orderId: OrderId }) =>
  Effect.gen(function* () {
    const parked = yield* Parked
    const order = yield* parked.order(orderId)
    if (order === null) return yield* new NotParked({ orderId })
    const unsent = yield* parked.of(orderId)
    yield* Console.log(
      [
        `order ${orderId} (${order.symbol}, ${order.status}) is parked since ${DateTime.formatIso(DateTime.makeUnsafe(order.at))}`,
        `  because ${order.reason}`,
        `  what could not be handled: ${order.record}`,
        ...unsent.map(
          ({ consumer, lane, position, reason }) =>
            `  ${consumer} could not send position ${position} of lane ${lane}: ${reason}`
        )
      ].join("\n")
    )
  })

/** `nexus parked retry | skip`: through the engine's one door, under a name, for ever in the log. */
export const unpark = (word: {
  readonly orderId: OrderId
  readonly act: UnparkAct
  readonly by: string
  readonly reason: string
}) =>
  Effect.gen(function* () {
    const { orderId } = word
    const { stream, wasParked } = yield* Effect.catchTags((yield* Engine).unpark(word), {
      Busy: () => new NotConfirmedYet({}),
      NotConfirmed: () => new NotConfirmedYet({})
    })
    if (!wasParked) return yield* new NotParked({ orderId })
    const unsent = word.act === "skip" ? [] : yield* (yield* Parked).of(orderId)
    yield* Console.log(
      [
        `order ${orderId} is not parked any more, by decision of ${word.by}; it is ${stream.order.status ?? ""}`,
        ...unsent.map(
          ({ lane, position }) =>
            `  Kafka lacks one of its events: nexus republish --lane ${lane} --from ${position} --to ${position}`
        )
      ].join("\n")
    )
  })
