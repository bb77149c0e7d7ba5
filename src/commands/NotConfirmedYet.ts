/** What a command was to write may or may not be in the log. */
import { Schema } from "effect"

export class NotConfirmedYet extends Schema.TaggedError<NotConfirmedYet>()("NotConfirmedYet", {}) {
  override get message() {
    return "the database did not answer in time; the same command again tells what became of it"
  }
}
