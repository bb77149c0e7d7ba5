/**
 * Why an order is parked, as the API shows it where one order is read: nothing new is sent for it until an operator
 * takes it up again. Everything else in the answer is what is known of the order so far.
 */
import { Schema } from "effect"
import type { ParkedOrder } from "../sql/Parked.ts"
import { time } from "./OrderView.ts"

export const ParkedView = Schema.Struct({
  since: Schema.String.annotate({ format: "date-time" }),
  reason: Schema.String
})

/** The order's JSON with that as its last member. */
export const withParked = (order: string, { at, reason }: Pick<ParkedOrder, "at" | "reason">): string =>
  `${order.slice(0, -1)},"parked":${JSON.stringify({ since: time(at), reason })}}`
