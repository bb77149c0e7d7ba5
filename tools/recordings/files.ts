/**
 * The recordings: one file for each kind of answer, in `test/simulator/recordings/`.
 *
 * A file has the facts of every recording of its kind, and what the exchange's documentation shows of it. What has no
 * recording yet has the documentation alone, and says so.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Shape } from "./shape.ts"

export const folder = join(import.meta.dirname, "../../test/simulator/recordings")

export type Source =
  /** Found in a public repository, at this commit. */
  | { readonly repository: string; readonly path: string; readonly commit: string; readonly taken: string }
  /** Heard by `tools/recordings.ts record`. */
  | { readonly live: string; readonly taken: string }

export interface Recording {
  readonly source: Source
  readonly fields: Shape
}

export interface Documented {
  readonly documented: string
}

export interface Kind {
  readonly kind: string
  readonly recordings: ReadonlyArray<Recording>
  /** Only the types of it count: the samples of the documentation are rounded. */
  readonly documentation?: { readonly source: Documented; readonly fields: Shape }
}

export const readKinds = (from = folder): ReadonlyArray<Kind> =>
  readdirSync(from)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(from, name), "utf8")) as Kind)

export const readKind = (kind: string, from = folder): Kind => {
  const file = join(from, `${kind}.json`)
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Kind) : { kind, recordings: [] }
}

export const writeKind = (kind: Kind, into = folder): void => {
  mkdirSync(into, { recursive: true })
  writeFileSync(join(into, `${kind.kind}.json`), `${JSON.stringify(kind, null, 2)}\n`)
}

const identityOf = (source: Source): string =>
  "live" in source ? source.live : `${source.repository} ${source.path} ${source.taken}`

/** A recording of the same place takes the room of the older one. */
export const withRecording = (kind: Kind, recording: Recording): Kind => ({
  ...kind,
  recordings: [
    ...kind.recordings.filter(({ source }) => identityOf(source) !== identityOf(recording.source)),
    recording
  ].sort((one, other) => one.source.taken.localeCompare(other.source.taken))
})
