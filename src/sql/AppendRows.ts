/**
 * What the append function is given, as PostgreSQL reads rows: `{"(…)","(…)"}`, an array of rows in text.
 *
 * Every order pays for this several times, so the rows are written in one go. A field whose alphabet is ours or
 * fixed (ids, hashes, enums, numbers) stands as it is; text from elsewhere is quoted, once for the row and once
 * for the array around it. The columns are those of the types in schema/0006_append_rows.sql, in their order.
 */
import type { SealedEvent } from "../domain/Envelope.ts"
import type { Status } from "../domain/Order.ts"
import type { BlotterRow } from "./BlotterRow.ts"

/** Rows as one parameter. */
export const arrayOf = (rows: ReadonlyArray<string>): string => `{${rows.join(",")}}`

export const commandRow = (command: {
  readonly streamId: string
  readonly expected: number
  readonly count: number
  readonly previousHash: string
  readonly headHash: string
  readonly requestHash: string | null
  readonly before: Status | null
  readonly after: Status | null
}): string =>
  `"(${command.streamId},${command.expected},${command.count},${bytes(command.previousHash)},` +
  `${bytes(command.headHash)},${bytes(command.requestHash ?? "")},${command.before ?? ""},${command.after ?? ""})"`

export const eventRow = (event: SealedEvent): string =>
  `"(${event.streamId},${event.version},${event.eventId},${event.type},${event.schemaVersion},${event.occurredAt},` +
  `${text(event.actor)},${text(event.correlationId)},${text(event.causationId)},${event.commandId},` +
  `${text(event.traceParent)},${text(event.dataText)},${bytes(event.previousHash)},${bytes(event.hash)})"`

export const orderRow = (row: BlotterRow): string => {
  const { attempt, reason } = row
  return (
    `"(${row.orderId},${row.clientOrderId},${text(row.exchangeOrderId)},${text(row.symbol)},${row.side},${row.type},` +
    `${row.timeInForce ?? ""},${row.quantity ?? ""},${row.quoteQuantity ?? ""},${row.price ?? ""},` +
    `${row.validUntil ?? ""},${row.stopPrice ?? ""},${row.icebergQuantity ?? ""},${row.selfTradePrevention ?? ""},` +
    `${row.status},${row.certainty},${row.cancelRequested},${row.cancelRefused},${row.filledQuantity},` +
    `${row.filledQuote},${row.averagePrice ?? ""},${json(row.fees)},${row.fills.length === 0 ? "[]" : json(row.fills)},` +
    `${text(reason === null ? null : reason.code)},${text(reason === null ? null : reason.message)},${row.parked},` +
    (attempt === null
      ? ",,,,,"
      : `${attempt.number},${attempt.timestamp},${attempt.recvWindowMillis},${attempt.startedAt},${attempt.state},`) +
    `${row.nextAttemptAt ?? ""},${row.staleAt ?? ""},${row.dueAt ?? ""},${row.placedAt},${row.updatedAt},${row.version})"`
  )
}

// Hex, as a bytea: \x for the row, and the backslash again for row and array.
const bytes = (hex: string): string => `\\\\\\\\x${hex}`

const json = (value: object): string => text(JSON.stringify(value))

// Null is nothing at all; an empty text is a pair of quotes. The driver's own quoting knows arrays, not rows within them.
const text = (value: string | null): string => {
  if (value === null) return ""
  const plain = value.includes("\\") ? value.replaceAll("\\", "\\\\\\\\") : value
  return `\\"${plain.replaceAll('"', '\\\\\\"')}\\"`
}
