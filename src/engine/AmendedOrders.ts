/**
 * Orders of ours that another program with the same keys has amended at the exchange: such an order keeps its id there
 * and its place in the book, has a smaller quantity, and from then on answers to another client order id. Its fills stay
 * ours.
 *
 * The exchange gives its ids anew after a reset, so the id alone proves nothing: symbol, side, type and price must be
 * ours too, and it must have come into being when our attempt could be accepted. Whichever was found is remembered, for
 * its news on the stream has neither our client order id nor another way to us.
 */
import { Context, Effect, Layer, Schema } from "effect"
import type { FoundOrder } from "../binance/BinanceClient.ts"
import { BinanceClient } from "../binance/BinanceClient.ts"
import type { BinanceError } from "../binance/BinanceError.ts"
import { AppConfig } from "../config.ts"
import * as Decimal from "../domain/Decimal.ts"
import { ClientOrderId, type OrderId } from "../domain/Ids.ts"
import type { Attempt } from "../domain/Order.ts"
import type { BlotterRow } from "../sql/Blotter.ts"
import { makeBoundedMap } from "./BoundedMap.ts"

// The exchange takes a timestamp that is up to a second ahead of its own clock (Binance: "Timing security").
const aheadMillis = 1_000
// Remembered at a time; what is beyond is found by the comparisons.
const remembered = 1_000

export type SentOrder = Pick<
  BlotterRow,
  "orderId" | "clientOrderId" | "exchangeOrderId" | "symbol" | "side" | "type" | "price" | "quantity"
> & { readonly attempt: Pick<Attempt, "timestamp" | "recvWindowMillis"> | null }

export class AmendedOrders extends Context.Service<
  AmendedOrders,
  {
    /** Asks for the order by our id, and where that one is unknown by the exchange's, in case it was amended. */
    readonly ask: (ours: SentOrder) => Effect.Effect<FoundOrder, BinanceError>
    /** Whether what the exchange shows under another client order id is this order; remembered if so. */
    readonly recognise: (ours: SentOrder, found: FoundOrder) => boolean
    /** The stream told that this order of ours is amended: from its next news on it has another client order id. */
    readonly amended: (ours: SentOrder, news: FoundOrder) => void
    /** Whose news it is, under a client order id that is none of ours; null: of no order remembered here. */
    readonly ownerOf: (news: FoundOrder) => OrderId | null
  }
>()("nexus/engine/AmendedOrders") {
  static readonly layer = Layer.effect(
    AmendedOrders,
    Effect.gen(function* () {
      const { margins } = yield* AppConfig
      const client = yield* BinanceClient
      const known = makeBoundedMap<string, SentOrder>(remembered)

      const recognise = (ours: SentOrder, found: FoundOrder): boolean => {
        const isOurs = isAmendedOf(ours, found, margins.delta_ms)
        if (isOurs) known.set(keyOf(found), ours)
        return isOurs
      }

      return AmendedOrders.of({
        recognise,
        ask: (ours) =>
          client.queryOrder(ours).pipe(
            Effect.catchIf(
              (error) => error.reason._tag === "OrderUnknown" && ours.exchangeOrderId !== null,
              (unknown) =>
                Effect.flatMap(
                  client.queryByExchangeId({ symbol: ours.symbol, exchangeOrderId: ours.exchangeOrderId ?? "" }),
                  (found) => (recognise(ours, found) ? Effect.succeed(found) : Effect.fail(unknown))
                )
            )
          ),
        amended: (ours, news) => known.set(keyOf(news), { ...ours, exchangeOrderId: news.report.exchangeOrderId }),
        ownerOf: (news) => {
          const ours = known.touch(keyOf(news))
          return ours !== undefined && isAmendedOf(ours, news, margins.delta_ms) ? ours.orderId : null
        }
      })
    })
  )
}

const keyOf = ({ report, symbol }: FoundOrder): string => `${symbol} ${report.exchangeOrderId}`

const isClientOrderId = Schema.is(ClientOrderId)

/** `deltaMillis`: the longest that the exchange may take to accept what has come in time. */
export const isAmendedOf = (ours: SentOrder, found: FoundOrder, deltaMillis: number): boolean =>
  // Of our own making, and another one: after a reset its exchange id may be one that an older order of ours had.
  !isClientOrderId(found.clientOrderId) &&
  ours.exchangeOrderId !== null &&
  ours.exchangeOrderId === found.report.exchangeOrderId &&
  ours.symbol === found.symbol &&
  ours.side === found.side &&
  ours.type === found.type &&
  ours.price !== null &&
  Decimal.equals(Decimal.decimal(ours.price), found.price) &&
  ours.quantity !== null &&
  !Decimal.isGreater(found.quantity, Decimal.decimal(ours.quantity)) &&
  ours.attempt !== null &&
  found.createdAt !== undefined &&
  found.createdAt >= ours.attempt.timestamp - aheadMillis &&
  found.createdAt <= ours.attempt.timestamp + ours.attempt.recvWindowMillis + deltaMillis
