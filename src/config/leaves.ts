/**
 * Between the tree of sections and the flat paths of its leaves ("database.port"), there and back: sources and faults
 * are about single paths, the program reads a tree.
 */
import { Key } from "./Key.ts"
import type { Section } from "./keys.ts"

export function* leavesOf(section: Section, prefix: string): Generator<readonly [string, Key<unknown>]> {
  for (const [name, entry] of Object.entries(section)) {
    if (entry instanceof Key) yield [`${prefix}${name}`, entry]
    else yield* leavesOf(entry, `${prefix}${name}.`)
  }
}

export const treeOf = (
  section: Section,
  values: ReadonlyMap<string, unknown>,
  prefix: string
): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(section).map(([name, entry]) => [
      name,
      entry instanceof Key ? values.get(`${prefix}${name}`) : treeOf(entry, values, `${prefix}${name}.`)
    ])
  )
