/** What of an answer is documented: the names of its fields in their order, and the JSON type of each. */

export const shapeOf = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shapeOf(value[0])]
  if (typeof value !== "object" || value === null) return typeof value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shapeOf(item)]))
}

/** From words: `{ strings: "a b", numbers: "c" }`. */
export const fieldsOf = (types: Readonly<Partial<Record<"string" | "number" | "boolean", string>>>): unknown =>
  Object.fromEntries(
    Object.entries(types).flatMap(([type, names]) =>
      names
        .split(" ")
        .filter((name) => name !== "")
        .map((name) => [name, type] as const)
    )
  )
