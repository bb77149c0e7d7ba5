/**
 * Rows of the log as the driver gives them, and as the program reads them. A row of another shape is a defect:
 * the schema of the database is ours.
 */
import { Schema, SchemaGetter } from "effect"

/** int8 arrives as bigint. Positions, moments and counts stay below 2^53. */
export const Int8 = Schema.BigInt.pipe(
  Schema.decodeTo(Schema.Int, {
    decode: SchemaGetter.transform(Number),
    encode: SchemaGetter.transform(BigInt)
  })
)

export const StoredEventRow = Schema.Struct({
  lane: Schema.Int,
  position: Int8,
  streamId: Schema.String,
  version: Schema.Int,
  eventId: Schema.String,
  type: Schema.String,
  schemaVersion: Schema.Int,
  occurredAt: Int8,
  recordedAt: Int8,
  actor: Schema.String,
  correlationId: Schema.String,
  causationId: Schema.NullOr(Schema.String),
  commandId: Schema.String,
  traceParent: Schema.NullOr(Schema.String),
  data: Schema.Record(Schema.String, Schema.Unknown),
  previousHash: Schema.String,
  hash: Schema.String
})

/** The columns of `StoredEventRow`, of a table or alias named `e`. */
export const storedEventColumns = `e.lane, e.position, e.stream_id as "streamId", e.version, e.event_id as "eventId",
  e.type, e.schema_version as "schemaVersion", e.occurred_at as "occurredAt", e.recorded_at as "recordedAt",
  e.actor, e.correlation_id as "correlationId", e.causation_id as "causationId", e.command_id as "commandId",
  e.trace_parent as "traceParent", e.data, encode(e.previous_hash, 'hex') as "previousHash",
  encode(e.hash, 'hex') as hash`

export const decodeEvents = Schema.decodeUnknownSync(Schema.Array(StoredEventRow))

export const decodeRequestHashes = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ requestHash: Schema.String })))

export const decodeHeads = Schema.decodeUnknownSync(
  Schema.Array(Schema.Struct({ version: Schema.Int, hash: Schema.String, requestHash: Schema.String }))
)

export const decodeLaneHeads = Schema.decodeUnknownSync(
  Schema.Array(Schema.Struct({ lane: Schema.Int, position: Int8 }))
)

export const decodeTotals = Schema.decodeUnknownSync(
  Schema.Tuple([Schema.Struct({ total: Int8, processing: Int8, completed: Int8, failed: Int8, cancelled: Int8 })])
)

export const decodeAppended = Schema.decodeUnknownSync(
  Schema.Tuple([
    Schema.Struct({
      appended: Schema.Int,
      others: Schema.Array(
        Schema.Struct({
          /** Place in the call, from 1. */
          i: Schema.Int,
          outcome: Schema.Literals(["duplicate", "conflict"]),
          version: Schema.Int
        })
      )
    })
  ])
)
