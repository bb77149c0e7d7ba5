/** The envelope of a request to the WebSocket API: what it must be before anybody looks at what it asks for. */
import { JsonNumber, parseJson } from "./jsonText.ts"
import { invalidInJson, invalidJson, type Refusal } from "./Refusal.ts"

export interface WebSocketRequest {
  readonly id: unknown
  readonly method: string
  readonly params: Readonly<Record<string, unknown>>
}

const idForm = /^[a-zA-Z0-9-_]{1,36}$/
const idRange = `an integer, a string matching '${idForm.source}', or null`

export const readRequest = (text: string): WebSocketRequest | Refusal => {
  const value = parseJson(text)
  if (typeof value !== "object" || value === null || Array.isArray(value)) return invalidJson
  const { id, method, params = {} } = value as Record<string, unknown>
  const isId = id === null || (id instanceof JsonNumber && id.isWhole) || (typeof id === "string" && idForm.test(id))
  if (!isId) return invalidInJson("id", idRange)
  if (typeof method !== "string") return invalidInJson("method", "a string")
  if (typeof params !== "object" || params === null || Array.isArray(params)) {
    return invalidInJson("params", "an object")
  }
  return { id, method, params: params as Record<string, unknown> }
}
