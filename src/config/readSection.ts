/**
 * What config.yaml says: collects the text of every key that is given, by path, and a fault for whatever stands where
 * no key or another kind of value belongs.
 */
import type { Fault } from "./ConfigFaults.ts"
import { Key } from "./Key.ts"
import type { Section } from "./keys.ts"
import { quoted } from "./quoting.ts"

export const readSection = (
  node: unknown,
  section: Section,
  prefix: string,
  given: Map<string, string>,
  faults: Array<Fault>
) => {
  if (node === null || node === "") return
  if (typeof node !== "object" || Array.isArray(node)) {
    faults.push({ path: prefix.slice(0, -1) || "config.yaml", rule: "must be a section of keys", found: "a value" })
    return
  }
  for (const [name, value] of Object.entries(node)) {
    const path = `${prefix}${name}`
    const entry = Object.hasOwn(section, name) ? section[name] : undefined
    // The value of a key we do not know may be a secret under a misspelt name: it is not shown.
    if (entry === undefined)
      faults.push({ path: quoted(path).slice(1, -1), rule: "must be a known key", found: "no such key" })
    else if (!(entry instanceof Key)) readSection(value, entry, `${path}.`, given, faults)
    else if (typeof value === "string") given.set(path, value)
    else if (entry.kind === "list" && Array.isArray(value) && value.every((item) => typeof item === "string")) {
      given.set(path, value.join(","))
    } else faults.push({ path, rule: entry.rule, found: Array.isArray(value) ? "a list" : "a section" })
  }
}
