/**
 * Requests that try or change an order: test, cancel-replace, and an amendment that keeps its place in the queue.
 *
 * A replacement has two effects, so both ids are sent and each half has an outcome of its own; when the whole is in
 * doubt, each is settled under its own id (settleReplacement.ts). An amendment always sends the order's present id as
 * the new one, for the exchange would draw a random one otherwise and nobody would find the order again.
 */
import { Context, Effect, Layer, Schema } from "effect"
import type { ExchangeReport } from "../domain/Command.ts"
import type { Decimal } from "../domain/Decimal.ts"
import { format } from "../domain/Decimal.ts"
import type { OrderRequest } from "../domain/Event.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import { aboutAnother, decodeAnswer, decodeValue, unreadable } from "./answers.ts"
import type { CancelTarget, Submission } from "./BinanceClient.ts"
import type { BinanceError, Reason } from "./BinanceError.ts"
import { classify, InParts } from "./classify.ts"
import { endpoints } from "./endpoints.ts"
import type { Permit } from "./Gateway.ts"
import { given, givenId, Requests } from "./Requests.ts"
import { cancelledReport, parametersOf, placedReport } from "./translate.ts"
import { Amount, CancelledOrder, Id, PlacedOrder, Time, word } from "./wire.ts"

export interface Replacement {
  readonly cancel: CancelTarget
  /** Names the cancel itself: a report about it can be told from one about the order. */
  readonly cancelId: string
  readonly submission: Submission
  /** STOP_ON_FAILURE: the new order is not tried when the cancel fails. */
  readonly mode: "STOP_ON_FAILURE" | "ALLOW_FAILURE"
  /** What is done when the unfilled order count is used up; nothing unless said. */
  readonly whenOrdersExceeded?: "DO_NOTHING" | "CANCEL_ONLY"
}

export type Half =
  | { readonly _tag: "Done"; readonly report: ExchangeReport }
  /** Not done; for the reason OutcomeUnknown it may have been, as ever. */
  | { readonly _tag: "Failed"; readonly reason: Reason }
  | { readonly _tag: "NotAttempted" }

export interface Replaced {
  readonly cancelled: Half
  readonly placed: Half
}

export interface Amendment {
  readonly symbol: string
  readonly clientOrderId: string
  readonly exchangeOrderId?: string
  /** Below the present quantity and above nothing. */
  readonly newQuantity: Decimal
}

export interface Amended {
  readonly exchangeOrderId: string
  readonly exchangeStatus: string
  readonly quantity: Decimal
  readonly executedQuantity: Decimal
  readonly transactTime: EpochMillis
}

const Rates = Schema.Struct({ maker: Amount, taker: Amount })
const OrderRates = Schema.Struct({
  standardCommissionForOrder: Rates,
  specialCommissionForOrder: Schema.optionalKey(Rates),
  taxCommissionForOrder: Rates
})
export type OrderRates = typeof OrderRates.Type

const ReplaceAnswer = Schema.Struct({
  cancelResult: Schema.String,
  newOrderResult: Schema.String,
  cancelResponse: Schema.Unknown,
  newOrderResponse: Schema.Unknown
})
const ReplaceFailure = Schema.Struct({ data: ReplaceAnswer })

const AmendAnswer = Schema.Struct({
  transactTime: Time,
  amendedOrder: Schema.Struct({
    symbol: Schema.String,
    orderId: Id,
    clientOrderId: Schema.String,
    qty: Amount,
    executedQty: Amount,
    status: Schema.String
  })
})

export class OrderChanges extends Context.Service<
  OrderChanges,
  {
    /** Checks an order as far as the exchange does without its engine: no proof that it would be accepted. */
    readonly test: (request: OrderRequest) => Effect.Effect<void, BinanceError>
    /** The same, with what it would cost. */
    readonly testWithRates: (request: OrderRequest) => Effect.Effect<OrderRates, BinanceError>
    /** As for a new order. Then `replace` or `giveBack`, once. */
    readonly readyToReplace: Effect.Effect<Permit, BinanceError>
    readonly giveBack: (permit: Permit) => Effect.Effect<void>
    /**
     * Succeeds when the exchange said what became of each half; one that failed may be settled in the same way.
     * OutcomeUnknown, or a process that died on the way: `settleReplacement` with what was written down before.
     */
    readonly replace: (replacement: Replacement, permit: Permit) => Effect.Effect<Replaced, BinanceError>
    /** In doubt, the order's quantity tells: the same amendment again is refused as no change. */
    readonly amend: (amendment: Amendment) => Effect.Effect<Amended, BinanceError>
  }
>()("nexus/binance/OrderChanges") {
  static readonly layer = Layer.effect(
    OrderChanges,
    Effect.gen(function* () {
      const requests = yield* Requests

      const replace = Effect.fnUntraced(function* (replacement: Replacement, permit: Permit) {
        const { cancel, submission } = replacement
        const body = yield* requests
          .submit(permit, [
            ...parametersOf(submission.request),
            ["newClientOrderId", submission.clientOrderId],
            ["newOrderRespType", "FULL"],
            ["cancelReplaceMode", replacement.mode],
            ...givenId("cancelOrderId", cancel.exchangeOrderId),
            ["cancelOrigClientOrderId", cancel.clientOrderId],
            ["cancelNewClientOrderId", replacement.cancelId],
            ...given("cancelRestrictions", cancel.onlyWhen),
            ...given("orderRateLimitExceededMode", replacement.whenOrdersExceeded),
            ["recvWindow", submission.recvWindowMillis],
            ["timestamp", submission.timestamp]
          ])
          .pipe(
            Effect.flatMap((answer) => decodeAnswer(endpoints.cancelReplace, ReplaceAnswer, answer)),
            Effect.catch((error) => {
              const cause = error.reason._tag === "OutcomeUnknown" ? error.reason.cause : null
              if (!(cause instanceof InParts)) return Effect.fail(error)
              return Effect.map(decodeValue(endpoints.cancelReplace, ReplaceFailure, cause.body), ({ data }) => data)
            })
          )
        const { cancelResponse, cancelResult, newOrderResponse, newOrderResult } = body
        return {
          cancelled: yield* cancelHalf(cancelResult, cancelResponse, cancel),
          placed: yield* orderHalf(newOrderResult, newOrderResponse, submission)
        }
      })

      const amend = Effect.fnUntraced(function* (amendment: Amendment) {
        const endpoint = endpoints.amendKeepPriority
        const answer = yield* requests.signed(endpoint, [
          ["symbol", amendment.symbol],
          ...givenId("orderId", amendment.exchangeOrderId),
          ["origClientOrderId", amendment.clientOrderId],
          ["newClientOrderId", amendment.clientOrderId],
          ["newQty", format(amendment.newQuantity)]
        ])
        const { amendedOrder: order, transactTime } = yield* decodeAnswer(endpoint, AmendAnswer, answer)
        if (order.symbol !== amendment.symbol || order.clientOrderId !== amendment.clientOrderId) {
          return yield* unreadable(endpoint, aboutAnother)
        }
        return {
          exchangeOrderId: order.orderId,
          exchangeStatus: word(order.status),
          quantity: order.qty,
          executedQuantity: order.executedQty,
          transactTime
        }
      })

      return OrderChanges.of({
        test: (request) => Effect.asVoid(requests.signed(endpoints.testOrder, parametersOf(request))),
        testWithRates: (request) =>
          Effect.flatMap(
            requests.signed(endpoints.testOrderWithRates, [
              ...parametersOf(request),
              ["computeCommissionRates", "true"]
            ]),
            (answer) => decodeAnswer(endpoints.testOrderWithRates, OrderRates, answer)
          ),
        readyToReplace: requests.readyToSubmit(endpoints.cancelReplace),
        giveBack: requests.giveBack,
        replace,
        amend
      })
    })
  )
}

const cancelHalf = Effect.fnUntraced(function* (result: string, response: unknown, cancel: CancelTarget) {
  if (result !== "SUCCESS") return yield* undone(result, response)
  const order = yield* decodeValue(endpoints.cancelReplace, CancelledOrder, response)
  if (order.origClientOrderId !== cancel.clientOrderId || order.symbol !== cancel.symbol) {
    return yield* unreadable(endpoints.cancelReplace, aboutAnother)
  }
  return { _tag: "Done", report: cancelledReport(order) } as const
})

const orderHalf = Effect.fnUntraced(function* (result: string, response: unknown, submission: Submission) {
  if (result !== "SUCCESS") return yield* undone(result, response)
  const order = yield* decodeValue(endpoints.cancelReplace, PlacedOrder, response)
  if (order.clientOrderId !== submission.clientOrderId || order.symbol !== submission.request.symbol) {
    return yield* unreadable(endpoints.cancelReplace, aboutAnother)
  }
  return { _tag: "Done", report: placedReport(order) } as const
})

// A half that was refused is worded like the refusal of a request of its own.
const undone = (result: string, response: unknown): Effect.Effect<Half, BinanceError> => {
  if (result === "NOT_ATTEMPTED") return Effect.succeed({ _tag: "NotAttempted" })
  if (result !== "FAILURE") {
    return Effect.fail(unreadable(endpoints.cancelReplace, new Error("a half has a result that nobody knows")))
  }
  const body = JSON.stringify(response ?? null)
  return Effect.succeed({ _tag: "Failed", reason: classify({ status: 400, headers: {}, body }) })
}
