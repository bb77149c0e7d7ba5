/**
 * The anchor: how far the log goes, written down outside of PostgreSQL, so that a database that was set back is noticed
 * also where no Kafka has seen it.
 *
 * One small file, replaced whole. It names its store and generation; an anchor of another store says nothing, one of an
 * earlier generation says nothing either, since a recovery has looked at it.
 */
import { Effect, Schema } from "effect"
import { mkdir, readFile, rename, writeFile } from "node:fs/promises"
import { dirname } from "node:path"

const Head = Schema.Struct({ lane: Schema.Int, position: Schema.Int, hash: Schema.String })
export const Anchor = Schema.Struct({
  storeId: Schema.String,
  generation: Schema.Int,
  /** Milliseconds since 1970. */
  at: Schema.Int,
  heads: Schema.Array(Head)
})
export type Anchor = typeof Anchor.Type

const decodeAnchor = Schema.decodeUnknownEffect(Schema.fromJsonString(Anchor))

/** There is a file, and it cannot be read as an anchor. */
export class AnchorUnreadable extends Schema.TaggedError<AnchorUnreadable>()("AnchorUnreadable", {
  path: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `the anchor ${this.path} cannot be read (${this.detail}): put it back, or remove it if it is not Nexus's`
  }
}

/** Null: there is none. */
export const readAnchor = Effect.fnUntraced(function* (path: string) {
  const text = yield* Effect.tryPromise({
    try: () =>
      readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
        if (cause.code === "ENOENT") return null
        throw cause
      }),
    catch: (cause) => new AnchorUnreadable({ path, detail: String(cause) })
  })
  if (text === null) return null
  return yield* Effect.mapError(decodeAnchor(text), ({ message }) => new AnchorUnreadable({ path, detail: message }))
})

/** Replaces the file whole: whoever reads finds the old one or the new one. */
export const writeAnchor = (path: string, anchor: Anchor): Effect.Effect<void, AnchorUnreadable> =>
  Effect.tryPromise({
    try: async () => {
      await mkdir(dirname(path), { recursive: true })
      await writeFile(`${path}.new`, `${JSON.stringify(anchor)}\n`)
      await rename(`${path}.new`, path)
    },
    catch: (cause) => new AnchorUnreadable({ path, detail: String(cause) })
  })

export interface Ahead {
  readonly lane: number
  readonly generation: number
  readonly position: number
}

/**
 * Lanes of which the anchor knows what the log does not have, by the hash that the log has at the anchor's position: a
 * log that was set back and went on has another one there.
 */
export const aheadOf = (
  anchor: Anchor,
  store: { readonly storeId: string; readonly generation: number },
  hashAt: ReadonlyMap<number, string | null>
): ReadonlyArray<Ahead> => {
  if (anchor.storeId !== store.storeId || anchor.generation < store.generation) return []
  return anchor.heads
    .filter(
      ({ hash, lane, position }) => position > 0 && (anchor.generation > store.generation || hashAt.get(lane) !== hash)
    )
    .map(({ lane, position }) => ({ lane, position, generation: anchor.generation }))
}
