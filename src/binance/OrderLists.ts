/**
 * Order lists: a pair of which one order cancels the other (OCO), a working order that once wholly filled brings a
 * pending one to life (OTO), and one that brings a pair to life (OTOCO).
 *
 * The list has an id of ours and so has every leg: whatever comes of the request, the list is found by its id, and a
 * report about a leg by the leg's. A cancel of the list or of one leg ends all of it.
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

/** What one order of a list has for itself. */
interface Leg<Type extends string> {
  readonly clientOrderId: string
  readonly type: Type
  readonly price?: Decimal
  readonly stopPrice?: Decimal
  /** In basis points. */
  readonly trailingDelta?: number
  readonly timeInForce?: TimeInForce
  readonly icebergQuantity?: Decimal
  /** Names the leg within a strategy of the trader's; types from 1,000,000 on are free. */
  readonly strategyId?: number
  readonly strategyType?: number
  /** Its price follows the book's, by so many levels where an offset is given. */
  readonly peg?: { readonly price: "PRIMARY_PEG" | "MARKET_PEG"; readonly offsetLevels?: number }
}

interface Sized {
  readonly side: Side
  readonly quantity: Decimal
}

type StopType = "STOP_LOSS" | "STOP_LOSS_LIMIT" | "TAKE_PROFIT" | "TAKE_PROFIT_LIMIT"

export type PairLeg = Leg<"LIMIT_MAKER" | StopType>

export interface Pair extends Sized {
  /** Of the higher price. */
  readonly above: PairLeg
  readonly below: PairLeg
}

export type WorkingOrder = Leg<"LIMIT" | "LIMIT_MAKER"> & Sized
/** A MARKET order by its quantity. */
export type PendingOrder = Leg<"LIMIT" | "LIMIT_MAKER" | "MARKET" | StopType> & Sized

interface Submission {
  readonly listClientOrderId: string
  readonly symbol: string
  readonly selfTradePrevention?: SelfTradePrevention
  /** On the exchange's clock. */
  readonly timestamp: EpochMillis
  readonly recvWindowMillis: number
}

export interface OcoSubmission extends Submission, Pair {}

export interface OtoSubmission extends Submission {
  readonly working: WorkingOrder
  readonly pending: PendingOrder
}

export interface OtocoSubmission extends Submission {
  readonly working: WorkingOrder
  readonly pending: Pair
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

export type ListKind = "OCO" | "OTO" | "OTOCO"

const endpointOf = { OCO: endpoints.placeOco, OTO: endpoints.placeOto, OTOCO: endpoints.placeOtoco } as const

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
    /** As for a new order, for one list of this kind. Then to place it, or `giveBack`, once. */
    readonly readyToPlace: (kind: ListKind) => Effect.Effect<Permit, BinanceError>
    readonly giveBack: (permit: Permit) => Effect.Effect<void>
    /** Sends exactly what was journalled, once. In doubt, `query` tells. */
    readonly placeOco: (submission: OcoSubmission, permit: Permit) => Effect.Effect<ListChange, BinanceError>
    /** Pending orders are reported as PENDING_NEW even where the working one was filled at once: `query` tells more. */
    readonly placeOto: (submission: OtoSubmission, permit: Permit) => Effect.Effect<ListChange, BinanceError>
    readonly placeOtoco: (submission: OtocoSubmission, permit: Permit) => Effect.Effect<ListChange, BinanceError>
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

      const place = Effect.fnUntraced(function* (
        endpoint: Endpoint,
        submission: Submission,
        parameters: Parameters,
        legs: ReadonlyArray<{ readonly clientOrderId: string }>,
        permit: Permit
      ) {
        const answer = yield* requests.submit(permit, [
          ["symbol", submission.symbol],
          ["listClientOrderId", submission.listClientOrderId],
          ...parameters,
          ...given("selfTradePreventionMode", submission.selfTradePrevention),
          ["newOrderRespType", "FULL"],
          ["recvWindow", submission.recvWindowMillis],
          ["timestamp", submission.timestamp]
        ])
        const list = yield* decodeList(endpoint, PlacedList, answer, submission)
        const ids = new Set(list.orders.map(({ clientOrderId }) => clientOrderId))
        if (!legs.every(({ clientOrderId }) => ids.has(clientOrderId))) return yield* unreadable(endpoint, aboutAnother)
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
        readyToPlace: (kind) => requests.readyToSubmit(endpointOf[kind]),
        giveBack: requests.giveBack,
        placeOco: (submission, permit) =>
          place(
            endpoints.placeOco,
            submission,
            [...sizeOf("", submission), ...legOf("above", submission.above), ...legOf("below", submission.below)],
            [submission.above, submission.below],
            permit
          ),
        placeOto: (submission, permit) => {
          const { pending, working } = submission
          return place(
            endpoints.placeOto,
            submission,
            [
              ...sizeOf("working", working),
              ...legOf("working", working),
              ...sizeOf("pending", pending),
              ...legOf("pending", pending)
            ],
            [working, pending],
            permit
          )
        },
        placeOtoco: (submission, permit) => {
          const { pending, working } = submission
          return place(
            endpoints.placeOtoco,
            submission,
            [
              ...sizeOf("working", working),
              ...legOf("working", working),
              ...sizeOf("pending", pending),
              ...legOf("pendingAbove", pending.above),
              ...legOf("pendingBelow", pending.below)
            ],
            [working, pending.above, pending.below],
            permit
          )
        },
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

const sizeOf = (prefix: "" | "working" | "pending", { quantity, side }: Sized): Parameters => [
  [prefix === "" ? "side" : `${prefix}Side`, side],
  [prefix === "" ? "quantity" : `${prefix}Quantity`, format(quantity)]
]

const legOf = (prefix: string, leg: Leg<string>): Parameters => [
  [`${prefix}Type`, leg.type],
  [`${prefix}ClientOrderId`, leg.clientOrderId],
  ...amount(`${prefix}Price`, leg.price),
  ...amount(`${prefix}StopPrice`, leg.stopPrice),
  ...given(`${prefix}TrailingDelta`, leg.trailingDelta),
  ...given(`${prefix}TimeInForce`, leg.timeInForce),
  ...amount(`${prefix}IcebergQty`, leg.icebergQuantity),
  ...given(`${prefix}StrategyId`, leg.strategyId),
  ...given(`${prefix}StrategyType`, leg.strategyType),
  ...given(`${prefix}PegPriceType`, leg.peg?.price),
  ...(leg.peg?.offsetLevels === undefined
    ? []
    : ([
        [`${prefix}PegOffsetType`, "PRICE_LEVEL"],
        [`${prefix}PegOffsetValue`, leg.peg.offsetLevels]
      ] as const))
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
