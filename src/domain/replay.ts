/** A stream as the fold of what the log has of it, or why this release cannot read it. */
import { HashSet, Result } from "effect"
import type { StoredEvent } from "./Envelope.ts"
import { decode, isOrderEvent } from "./Event.ts"
import type { OrderStream } from "./Order.ts"
import { emptyStream, evolve } from "./Order.ts"

export interface LoadedStream {
  /** In the order of their versions, from the first. */
  readonly events: ReadonlyArray<StoredEvent>
  readonly requestHash: string
}

/** The first event that this release cannot read, as a later one may have written it, and a sentence that says what to do. */
export interface Unread {
  readonly event: StoredEvent
  readonly why: string
}

export const replay = (loaded: LoadedStream): Result.Result<OrderStream, Unread> => {
  let stream = emptyStream
  for (const stored of loaded.events) {
    const decoded = decode(stored.type, stored.schemaVersion, stored.data)
    if (Result.isFailure(decoded)) {
      const { schemaVersion, type, version } = stored
      const why =
        `this release cannot read ${type} of schema version ${schemaVersion}, version ${version} of the order ` +
        `(${decoded.failure.detail}): run the release that wrote it, then "nexus parked retry"`
      return Result.fail({ event: stored, why })
    }
    const event = decoded.success
    stream = {
      order: isOrderEvent(event) ? evolve(stream.order, event, stored.occurredAt) : stream.order,
      version: stored.version,
      headHash: stored.hash,
      requestHash: loaded.requestHash,
      commandIds: HashSet.add(stream.commandIds, stored.commandId)
    }
  }
  return Result.succeed(stream)
}
