/**
 * The checks that stand between a request and what it asks for, in the order in which they complain: key present,
 * parameters, unread ones, time, key known, signature. The same for REST and for the WebSocket API.
 */
import type { Endpoint, Run } from "./Endpoint.ts"
import { Parameters } from "./Parameters.ts"
import {
  badKeyFormat,
  badSignature,
  mandatory,
  type Refusal,
  tooEarly,
  tooGreat,
  tooOld,
  unknownKey
} from "./Refusal.ts"
import { isAscii, isSignedBy } from "./signing.ts"

export interface Credentials {
  readonly apiKey: string
  readonly apiSecret: string
}

/** One request as it came, from whichever side. */
export interface Arrival {
  readonly values: ReadonlyMap<string, string>
  readonly apiKey: string | undefined
  readonly signature: string | undefined
  readonly payload: string
  /** REST must encode before it signs; the WebSocket API signs the text itself. */
  readonly isEncoded: boolean
}

const keyForm = /^[\x21-\x7e]{1,256}$/
const defaultRecvWindow = "5000"
const greatestRecvWindow = 60_000
/** How far ahead of the server a timestamp may be. */
const aheadMillis = 1_000
const millisDigits = 13
const microsDigits = 16

export const admit = (endpoint: Endpoint, arrival: Arrival, credentials: Credentials, now: number): Run | Refusal => {
  const { apiKey, payload, signature, values } = arrival
  const parameters = new Parameters(values)
  if (!endpoint.isSigned) {
    const run = endpoint.read(parameters)
    return parameters.fault() ?? run
  }
  if (apiKey === undefined || !keyForm.test(apiKey)) return badKeyFormat
  const run = endpoint.read(parameters)
  const timestamp = parameters.timestamp()
  const recvWindow = parameters.recvWindow()
  const fault = parameters.fault()
  if (fault !== undefined) return fault
  if (signature === undefined || signature === "") return mandatory("signature")
  const untimely = checkTime(timestamp, recvWindow, now)
  if (untimely !== undefined) return untimely
  if (apiKey !== credentials.apiKey) return unknownKey
  if (arrival.isEncoded && !isAscii(payload)) return badSignature
  return isSignedBy(credentials.apiSecret, payload, signature) ? run : badSignature
}

/** `now - timestamp <= recvWindow`, and less than a second ahead. Of 16 digits are microseconds, of 13 milliseconds. */
export const checkTime = (timestamp: string, recvWindow: string | undefined, now: number): Refusal | undefined => {
  const window = Number(recvWindow ?? defaultRecvWindow)
  if (window > greatestRecvWindow) return tooGreat("recvWindow", String(greatestRecvWindow))
  if (timestamp.length !== millisDigits && timestamp.length !== microsDigits) return tooOld
  const sent = timestamp.length === microsDigits ? Number(timestamp) / 1_000 : Number(timestamp)
  if (sent >= now + aheadMillis) return tooEarly
  return now - sent <= window ? undefined : tooOld
}
