/** What a client of the market streams may ask for, and what is said about anything else, in the exchange's words. */

export type StreamRequest = { readonly id: unknown } & (
  | { readonly method: "SUBSCRIBE" | "UNSUBSCRIBE"; readonly streams: ReadonlyArray<string> }
  | { readonly method: "LIST_SUBSCRIPTIONS" | "GET_PROPERTY" }
  | { readonly method: "SET_PROPERTY"; readonly isCombined: boolean }
)

export interface StreamFault {
  readonly code: 0 | 1 | 2 | 3
  readonly msg: string
  readonly id?: unknown
}

/** The documentation lists code and message alone; on the wire they stand in an `error`, beside the id of the request. */
export const faultView = ({ code, msg, ...rest }: StreamFault) => ({ error: { code, msg }, ...rest })

const methods = ["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY"]
const expected = methods.map((method) => `\`${method}\``).join(", ")
const textId = /^[A-Za-z0-9_-]{1,36}$/

export const parseStreamRequest = (text: string): StreamRequest | StreamFault => {
  const value = parsed(text)
  if (value === undefined) return { code: 3, msg: "Invalid JSON: expected value at line 1 column 1" }
  const { id, method, params = [] } = value
  const invalid = (what: string): StreamFault => ({ code: 2, msg: `Invalid request: ${what}`, id: id ?? null })
  if (method === undefined) return invalid(`missing field \`method\` at line 1 column ${text.length}`)
  if (typeof method !== "string" || !methods.includes(method)) {
    const variant = JSON.stringify(method)
    const column = text.indexOf(variant) + variant.length
    return invalid(
      `unknown variant \`${typeof method === "string" ? method : variant}\`, expected one of ${expected} at line 1 column ${column}`
    )
  }
  if (!isId(id)) return { code: 2, msg: "Invalid request: request ID must be an unsigned integer" }
  const list: ReadonlyArray<unknown> = Array.isArray(params) ? params : [params]
  switch (method) {
    case "SUBSCRIBE":
    case "UNSUBSCRIBE": {
      if (!Array.isArray(params)) return invalid("streams must be an array")
      const streams = list.filter((name) => typeof name === "string")
      return streams.length < list.length ? invalid("stream names must be strings") : { id, method, streams }
    }
    case "LIST_SUBSCRIPTIONS":
      return { id, method }
    default:
      return property(id, method === "SET_PROPERTY" ? "SET_PROPERTY" : "GET_PROPERTY", list)
  }
}

const property = (
  id: unknown,
  method: "SET_PROPERTY" | "GET_PROPERTY",
  [name, value, ...more]: ReadonlyArray<unknown>
): StreamRequest | StreamFault => {
  if (typeof name !== "string") return { code: 2, msg: "Invalid request: property name must be a string", id }
  if (name !== "combined") return { code: 0, msg: "Unknown property", id }
  if (more.length > 0 || (method === "GET_PROPERTY" && value !== undefined)) {
    return { code: 2, msg: "Invalid request: too many parameters", id }
  }
  if (method === "GET_PROPERTY") return { id, method }
  if (typeof value !== "boolean") return { code: 1, msg: "Invalid value type: expected Boolean", id }
  return { id, method, isCombined: value }
}

const isId = (id: unknown): boolean =>
  id === null || Number.isInteger(id) || (typeof id === "string" && textId.test(id))

const parsed = (text: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
