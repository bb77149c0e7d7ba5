/**
 * Order lists, so far the pair of which one order cancels the other (OCO).
 *
 * The list has an id of ours and so has every leg: whatever comes of the request, the list is found by its id, and a
 * report about a leg by the leg's. A cancel of the list or of one leg ends both.
 */
import { Context, Effect, Layer, Schema } from "effect"
import type { ExchangeReport } from "../domain/Command.ts"
import type { Decimal } from "../domain/Decimal.ts"
import { format } from "../domain/Decimal.ts"
import type { SelfTradePrevention, Side, TimeInForce } from "../domain/Event.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import { aboutAnother, decodeAnswer, unreadable } from "./answers.ts"
import type { BinanceError } from "./BinanceError.ts"
import type { Answer } from "./classify.ts"
import { endpoints } from "./endpoints.ts"
import type { Endpoint, Permit } from "./Gateway.ts"
import { given, Requests } from "./Requests.ts"
import type { Parameters } from "./sign.ts"
import { cancelledReport, placedReport } from "./translate.ts"
import { CancelledOrder, Id, PlacedOrder, Time, word } from "./wire.ts"

export interface OcoLeg {
  readonly clientOrderId: string
  readonly type: "LIMIT_MAKER" | "STOP_LOSS" | "STOP_LOSS_LIMIT" | "TAKE_PROFIT" | "TAKE_PROFIT_LIMIT"
  readonly price?: Decimal
  readonly stopPrice?: Decimal
  readonly timeInForce?: TimeInForce
  readonly icebergQuantity?: Decimal
}

export interface OcoSubmission {
  readonly listClientOrderId: string
  readonly symbol: string
  readonly side: Side
  readonly quantity: Decimal
  /** Of the higher price. */
  readonly above: OcoLeg
  readonly below: OcoLeg
  readonly selfTradePrevention?: SelfTradePrevention
  /** On the exchange's clock. */
  readonly timestamp: EpochMillis
  readonly recvWindowMillis: number
}

export interface ListTarget {
  readonly symbol: string
  readonly listClientOrderId: string
}

export interface OrderList {
  readonly exchangeListId: string
  readonly listClientOrderId: string
  readonly symbol: string
  /** Open enums. */
  readonly contingency: string
  readonly status: string
  readonly orderStatus: string
  readonly transactTime: EpochMillis
  readonly legs: ReadonlyArray<{ readonly clientOrderId: string; readonly exchangeOrderId: string }>
}

/** A list, and what became of its legs at once, by their own ids. */
export interface ListChange extends OrderList {
  readonly reports: ReadonlyMap<string, ExchangeReport>
}

const listFields = {
  orderListId: Id,
  contingencyType: Schema.String,
  listStatusType: Schema.String,
  listOrderStatus: Schema.String,
  listClientOrderId: Schema.String,
  transactionTime: Time,
  symbol: Schema.String,
  orders: Schema.Array(Schema.Struct({ symbol: Schema.String, orderId: Id, clientOrderId: Schema.String }))
}
const List = Schema.Struct(listFields)
const PlacedList = Schema.Struct({ ...listFields, orderReports: Schema.Array(PlacedOrder) })
const CancelledList = Schema.Struct({ ...listFields, orderReports: Schema.Array(CancelledOrder) })

export class OrderLists extends Context.Service<
  OrderLists,
  {
    /** As for a new order. Then `placeOco` or `giveBack`, once. */
    readonly readyToPlace: Effect.Effect<Permit, BinanceError>
    readonly giveBack: (permit: Permit) => Effect.Effect<void>
    /** Sends exactly what was journalled, once. In doubt, `query` tells. */
    readonly placeOco: (submission: OcoSubmission, permit: Permit) => Effect.Effect<ListChange, BinanceError>
    /** May be repeated. Ends every leg that is open. */
    readonly cancel: (target: ListTarget) => Effect.Effect<ListChange, BinanceError>
    /** OrderUnknown proves nothing by itself, as for an order. */
    readonly query: (target: ListTarget) => Effect.Effect<OrderList, BinanceError>
  }
>()("nexus/binance/OrderLists") {
  static readonly layer = Layer.effect(
    OrderLists,
    Effect.gen(function* () {
      const requests = yield* Requests

      const placeOco = Effect.fnUntraced(function* (submission: OcoSubmission, permit: Permit) {
        const { above, below, listClientOrderId, quantity, recvWindowMillis, side, symbol, timestamp } = submission
        const answer = yield* requests.submit(permit, [
          ["symbol", symbol],
          ["listClientOrderId", listClientOrderId],
          ["side", side],
          ["quantity", format(quantity)],
          ...legOf("above", above),
          ...legOf("below", below),
          ...given("selfTradePreventionMode", submission.selfTradePrevention),
          ["newOrderRespType", "FULL"],
          ["recvWindow", recvWindowMillis],
          ["timestamp", timestamp]
        ])
        const list = yield* decodeList(endpoints.placeOco, PlacedList, answer, submission)
        const ids = new Set(list.orders.map(({ clientOrderId }) => clientOrderId))
        if (!ids.has(above.clientOrderId) || !ids.has(below.clientOrderId)) {
          return yield* unreadable(endpoints.placeOco, aboutAnother)
        }
        const reports = new Map(list.orderReports.map((order) => [word(order.clientOrderId), placedReport(order)]))
        return { ...listOf(list), reports }
      })

      const cancel = Effect.fnUntraced(function* (target: ListTarget) {
        const answer = yield* requests.signed(endpoints.cancelList, [
          ["symbol", target.symbol],
          ["listClientOrderId", target.listClientOrderId]
        ])
        const list = yield* decodeList(endpoints.cancelList, CancelledList, answer, target)
        const reports = new Map(
          list.orderReports.map((order) => [word(order.origClientOrderId), cancelledReport(order)])
        )
        return { ...listOf(list), reports }
      })

      const query = Effect.fnUntraced(function* (target: ListTarget) {
        const answer = yield* requests.signed(endpoints.queryList, [["origClientOrderId", target.listClientOrderId]])
        return listOf(yield* decodeList(endpoints.queryList, List, answer, target))
      })

      return OrderLists.of({
        readyToPlace: requests.readyToSubmit(endpoints.placeOco),
        giveBack: requests.giveBack,
        placeOco,
        cancel,
        query
      })
    })
  )
}

const decodeList = Effect.fnUntraced(function* <A extends typeof List.Type, I>(
  endpoint: Endpoint,
  schema: Schema.Codec<A, I>,
  answer: Answer,
  { listClientOrderId, symbol }: ListTarget
) {
  const list = yield* decodeAnswer(endpoint, schema, answer)
  if (list.listClientOrderId === listClientOrderId && list.symbol === symbol) return list
  return yield* unreadable(endpoint, aboutAnother)
})

const legOf = (side: "above" | "below", leg: OcoLeg): Parameters => [
  [`${side}Type`, leg.type],
  [`${side}ClientOrderId`, leg.clientOrderId],
  ...amount(`${side}Price`, leg.price),
  ...amount(`${side}StopPrice`, leg.stopPrice),
  ...given(`${side}TimeInForce`, leg.timeInForce),
  ...amount(`${side}IcebergQty`, leg.icebergQuantity)
]

const amount = (name: string, value: Decimal | undefined): Parameters =>
  given(name, value === undefined ? undefined : format(value))

const listOf = (list: typeof List.Type): OrderList => ({
  exchangeListId: list.orderListId,
  listClientOrderId: word(list.listClientOrderId),
  symbol: word(list.symbol),
  contingency: word(list.contingencyType),
  status: word(list.listStatusType),
  orderStatus: word(list.listOrderStatus),
  transactTime: list.transactionTime,
  legs: list.orders.map(({ clientOrderId, orderId }) => ({
    clientOrderId: word(clientOrderId),
    exchangeOrderId: orderId
  }))
})
