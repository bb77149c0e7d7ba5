/**
 * What a request's signature covers: the very bytes that came over the wire.
 *
 * REST signs the raw query followed directly by the raw body, without the signature itself; nothing is parsed and
 * written again, for clients differ in order and escaping. The WebSocket API signs its parameters sorted, unescaped.
 */
import { textOf } from "./jsonText.ts"

/** A form text without its signature parameter, and that signature as it stands there. */
export const withoutSignature = (form: string): readonly [payload: string, signature: string | undefined] => {
  const start = form.startsWith("signature=") ? 0 : form.indexOf("&signature=")
  if (start < 0) return [form, undefined]
  const valueAt = form.indexOf("=", start) + 1
  const end = form.indexOf("&", valueAt)
  const value = end < 0 ? form.slice(valueAt) : form.slice(valueAt, end)
  const rest = end < 0 ? "" : form.slice(end)
  const payload = form.slice(0, start) + rest
  return [start === 0 && payload.startsWith("&") ? payload.slice(1) : payload, value]
}

export const webSocketPayload = (params: Readonly<Record<string, unknown>>): string =>
  Object.keys(params)
    .filter((name) => name !== "signature")
    .sort()
    .map((name) => `${name}=${textOf(params[name])}`)
    .join("&")

/** Bytes beyond ASCII must have been percent-encoded before signing. */
export const isAscii = (text: string): boolean => {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7e) return false
  return true
}
