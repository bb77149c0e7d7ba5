/**
 * An order of ours that another program with the same keys has amended at the exchange: it keeps its id there and its
 * place in the book, has a smaller quantity, and from then on answers to another client order id. Its fills stay ours.
 *
 * The exchange gives its ids anew after a reset, so the id alone proves nothing: symbol, side, type and price must be
 * ours too, and it must have come into being when our attempt was on its way.
 */
import { Effect, Schema } from "effect"
import type { BinanceClient, FoundOrder } from "../binance/BinanceClient.ts"
import * as Decimal from "../domain/Decimal.ts"
import { ClientOrderId, type EpochMillis } from "../domain/Ids.ts"
import type { BlotterRow } from "../sql/Blotter.ts"

/** An order comes into being within recvWindow (at most 60 s) and the exchange's delay of its timestamp. */
const birthMillis = 120_000

export type SentOrder = Pick<
  BlotterRow,
  "clientOrderId" | "exchangeOrderId" | "symbol" | "side" | "type" | "price" | "quantity"
> & { readonly attempt: { readonly timestamp: EpochMillis } | null }

const isClientOrderId = Schema.is(ClientOrderId)

/** Whether what the exchange shows under another client order id is this order, amended elsewhere. */
export const isAmendedOf = (ours: SentOrder, found: FoundOrder): boolean =>
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
  Math.abs(found.createdAt - ours.attempt.timestamp) <= birthMillis

/** Asks for the order by our id, and where that one is unknown by the exchange's, in case it was amended elsewhere. */
export const askForOrder = (client: typeof BinanceClient.Service, ours: SentOrder) =>
  client.queryOrder(ours).pipe(
    Effect.catchIf(
      (error) => error.reason._tag === "OrderUnknown" && ours.exchangeOrderId !== null,
      (unknown) =>
        Effect.flatMap(
          client.queryByExchangeId({ symbol: ours.symbol, exchangeOrderId: ours.exchangeOrderId ?? "" }),
          (found) => (isAmendedOf(ours, found) ? Effect.succeed(found) : Effect.fail(unknown))
        )
    )
  )
