/**
 * What is wrong with a configuration, told all at once. A fault names the path as its author would look for it, the
 * rule in words, and what was found, which is never a secret.
 */
import { Schema } from "effect"

export interface Fault {
  readonly path: string
  readonly rule: string
  /** What was found, fit to print; never a secret. */
  readonly found: string
}

/** The configuration cannot be used. The message names every fault, one a line. */
export class ConfigFaults extends Schema.TaggedError<ConfigFaults>()("ConfigFaults", {
  faults: Schema.Array(Schema.Struct({ path: Schema.String, rule: Schema.String, found: Schema.String }))
}) {
  override get message() {
    return this.faults.map(({ path, rule, found }) => `${path} ${rule}; found ${found}`).join("\n")
  }
}

/**
 * How a rule between keys tells its fault. It is kept back when `path`, or one in `also` that it depends on, has a
 * fault of its own: the default stands there in the place of what was meant.
 */
export type Reject = (path: string, rule: string, found: string, also?: ReadonlyArray<string>) => void
