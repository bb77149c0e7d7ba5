/**
 * The one place that builds the string that is signed and sent.
 *
 * REST signs the percent-encoded query exactly as it goes on the wire; the WebSocket API signs the sorted
 * parameters unencoded. Order of parameters is free for REST, so they stay as given and the signature goes last.
 */
import { createHmac } from "node:crypto"

export type Parameters = ReadonlyArray<readonly [name: string, value: string | number]>

/** HMAC-SHA256 with the secret's ASCII bytes, as hex. */
export const signature = (secret: string, payload: string): string =>
  createHmac("sha256", secret).update(payload).digest("hex")

export const queryOf = (parameters: Parameters): string =>
  parameters.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")

/** The whole query of a signed REST request. */
export const signedQuery = (secret: string, parameters: Parameters): string => {
  const payload = queryOf(parameters)
  return `${payload}&signature=${signature(secret, payload)}`
}

/** What a WebSocket request signs: everything but the signature, sorted by name, not encoded. */
export const webSocketPayload = (parameters: Parameters): string =>
  parameters
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join("&")

/** The `params` of a signed WebSocket request. */
export const signedParams = (secret: string, parameters: Parameters): Readonly<Record<string, string | number>> => ({
  ...Object.fromEntries(parameters),
  signature: signature(secret, webSocketPayload(parameters))
})
