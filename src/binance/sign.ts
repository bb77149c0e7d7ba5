/**
 * The one place that builds the string that is signed and sent, whatever kind of key signs it.
 *
 * REST signs the percent-encoded query exactly as it goes on the wire; the WebSocket API signs the sorted
 * parameters unencoded. Order of parameters is free for REST, so they stay as given and the signature goes last.
 */
import { Redacted } from "effect"
import { createHmac } from "node:crypto"

/** Ids of the exchange are bigint: whole numbers to the WebSocket API, with all their digits. */
export type Value = string | number | bigint

export type Parameters = ReadonlyArray<readonly [name: string, value: Value]>

/** Signs with a key that nobody else sees. */
export interface Signer {
  readonly kind: "HMAC" | "RSA" | "ED25519"
  /** Hex of HMAC, base64 of the others; not yet encoded for a URL. */
  readonly sign: (payload: string) => string
}

/** What the exchange knows an account by, and what proves that it is ours. */
export interface Keys {
  readonly apiKey: Redacted.Redacted
  readonly signer: Signer
}

/** HMAC-SHA256 with the secret's ASCII bytes. */
export const hmacSigner = (secret: Redacted.Redacted): Signer => ({
  kind: "HMAC",
  sign: (payload) => createHmac("sha256", Redacted.value(secret)).update(payload).digest("hex")
})

export const queryOf = (parameters: Parameters): string =>
  parameters.map(([name, value]) => `${name}=${encodeURIComponent(`${value}`)}`).join("&")

/** The whole query of a signed REST request; the key itself travels in a header. */
export const signedQuery = (signer: Signer, parameters: Parameters): string => {
  const payload = queryOf(parameters)
  // Base64 has characters that mean something in a query.
  return `${payload}&signature=${encodeURIComponent(signer.sign(payload))}`
}

/** What a WebSocket request signs: everything but the signature, sorted by name, not encoded. */
export const webSocketPayload = (parameters: Parameters): string =>
  parameters
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join("&")

/** The `params` of a signed WebSocket request, the key among them. */
export const signedParams = ({ apiKey, signer }: Keys, parameters: Parameters): Readonly<Record<string, Value>> => {
  const signed: Parameters = [["apiKey", Redacted.value(apiKey)], ...parameters]
  return { ...Object.fromEntries(signed), signature: signer.sign(webSocketPayload(signed)) }
}
