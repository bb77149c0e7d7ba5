/** The simulator cannot start: one sentence that says what to do. */
import { Schema } from "effect"

export class SimulatorError extends Schema.TaggedError<SimulatorError>()("SimulatorError", {
  problem: Schema.String
}) {
  override get message(): string {
    return this.problem
  }
}
