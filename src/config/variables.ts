/**
 * What the environment says: `NEXUS_` and the path of a key in capitals sets it, and `${NAME:-default}` in a value
 * takes what another variable holds. An empty variable counts as none in both. Where a value came from goes along.
 */
import type { Fault } from "./ConfigFaults.ts"
import type { Key } from "./Key.ts"
import { keys } from "./keys.ts"
import { leavesOf } from "./leaves.ts"

export interface Leaf {
  readonly path: string
  readonly key: Key<unknown>
  readonly value: string
  /** Where it came from, as a user would look for it. */
  readonly source: string
}

const variableOf = (path: string) => `NEXUS_${path.replaceAll(".", "_").toUpperCase()}`

/** Names that begin with NEXUS_ and set nothing are a slip of the pen, except what tools and Kubernetes bring. */
export const unknownVariables = (variables: Readonly<Record<string, string | undefined>>): Array<Fault> => {
  const known = new Set([...leavesOf(keys, "")].map(([path]) => variableOf(path)))
  // Kubernetes sets NEXUS_SERVICE_HOST, NEXUS_PORT=tcp://… and the like for a Service whose name begins with "nexus".
  const foreign = /^NEXUS_(CONFIG$|TEST_|BENCH_|([A-Z0-9_]+_)?SERVICE_(HOST|PORT)|([A-Z0-9_]+_)?PORT_\d+_(TCP|UDP))/
  return Object.entries(variables)
    .filter(
      ([name, value]) =>
        name.startsWith("NEXUS_") && !known.has(name) && !foreign.test(name) && !/^(tcp|udp):/.test(value ?? "")
    )
    .map(([name]) => ({
      path: name,
      rule: "must be NEXUS_ and the path of a key of config.yaml",
      found: "no such key"
    }))
}

export const leafOf = (
  path: string,
  key: Key<unknown>,
  given: ReadonlyMap<string, string>,
  variables: Readonly<Record<string, string | undefined>>
): Leaf => {
  const variable = variableOf(path)
  // An empty variable says nothing, as in ${NAME:-default}: compose files pass empty ones on.
  const override = variables[variable]
  if (override) return { path, key, value: override, source: variable }
  const raw = given.get(path) ?? key.byDefault
  return { path, key, value: interpolate(raw, variables), source: raw }
}

export const interpolate = (raw: string, variables: Readonly<Record<string, string | undefined>>) =>
  raw.replace(
    /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
    (_, name: string, byDefault?: string) => variables[name] || (byDefault ?? "")
  )
