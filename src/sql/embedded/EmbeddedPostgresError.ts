/** The PostgreSQL that we bring along cannot be started here. The message is one sentence that says what to do. */
import { Schema } from "effect"

export class EmbeddedPostgresError extends Schema.TaggedError<EmbeddedPostgresError>()("EmbeddedPostgresError", {
  message: Schema.String
}) {}

/** What is wrong with a folder or file, in the words of the operating system: `EACCES`, `ENOTDIR` … */
export const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : String(cause)
