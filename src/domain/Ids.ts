/**
 * Names of things, and how they follow from each other: the lane of a stream and the
 * client order id of an order are computed, never drawn, so that every process, restart
 * and restore arrives at the same ones.
 */
import { Schema } from "effect"
import { hash } from "node:crypto"

export const OrderId = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._:-]{1,64}$/u)).pipe(Schema.brand("OrderId"))
export type OrderId = typeof OrderId.Type

/** The one stream of the account. "@" is outside the alphabet of order ids. */
export const accountStream = "@account"

/** The id of an event stream: an order's id, or `accountStream`. */
export type StreamId = OrderId | typeof accountStream

/** Drawn once per store. Part of every client order id, so that two stores never share one. */
export const StoreId = Schema.String.check(Schema.isUUID()).pipe(Schema.brand("StoreId"))
export type StoreId = typeof StoreId.Type

/** What the exchange knows an order by: 32 characters of `[a-z2-7]`, see `clientOrderIdOf`. */
export const ClientOrderId = Schema.String.check(Schema.isPattern(/^nx[a-z2-7]{30}$/u)).pipe(
  Schema.brand("ClientOrderId")
)
export type ClientOrderId = typeof ClientOrderId.Type

/** Milliseconds since 1970 in UTC, an integer. */
export type EpochMillis = number
export const EpochMillis = Schema.Int

const alphabet = "abcdefghijklmnopqrstuvwxyz234567"

/** Each five bits, from the front, are one letter. */
const base32 = (bytes: Uint8Array, length: number): string => {
  let text = ""
  for (let bit = 0; text.length < length; bit += 5) {
    const at = bit >> 3
    const pair = (bytes[at]! << 8) | (bytes[at + 1] ?? 0)
    text += alphabet[(pair >> (11 - (bit & 7))) & 31]!
  }
  return text
}

/**
 * The same for all attempts of an order and after a restore, never the same for two stores.
 * Binance allows 36 characters of `[A-Za-z0-9-_]` and keeps an id exclusive among open orders only.
 */
export const clientOrderIdOf = (store: StoreId, order: OrderId): ClientOrderId =>
  // By construction of that shape, so it is not checked again.
  `nx${base32(hash("sha256", `${store}\n${order}`, "buffer"), 30)}` as ClientOrderId

/** The unit of ordering, locking, relay lease, cursor and Kafka partition. */
export const laneOf = (stream: string, lanes: number): number =>
  // The first 32 bits; read from hex, because a buffer costs more than the hash.
  Number.parseInt(hash("sha256", stream, "hex").slice(0, 8), 16) % lanes
