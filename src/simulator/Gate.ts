/**
 * The checks that stand between a request and what it asks for, the same for REST and for the WebSocket API.
 *
 * Their order is data, for it is not documented: the first that complains is answered.
 */
import type { Endpoint, Run } from "./Endpoint.ts"
import type { Keyring, KeyKind } from "./Keyring.ts"
import { type Complaint, openQuestions } from "./openQuestions.ts"
import { Parameters } from "./Parameters.ts"
import {
  badKeyFormat,
  badSignature,
  before2017,
  duplicateParameter,
  farAhead,
  mandatory,
  ofOtherLength,
  type Refusal,
  tooEarly,
  tooGreat,
  tooOld,
  unknownKey
} from "./Refusal.ts"
import { isAscii } from "./signing.ts"

/** One request as it came, from whichever side. */
export interface Arrival {
  readonly values: ReadonlyMap<string, string>
  /** A name came twice in one place. */
  readonly hasDuplicates: boolean
  readonly apiKey: string | undefined
  readonly signature: string | undefined
  /** How many parameters those were: one over REST, up to two over the WebSocket API. */
  readonly credentials: number
  readonly payload: string
  /** REST must encode before it signs; the WebSocket API signs the text itself. */
  readonly isEncoded: boolean
  /** The key of the session that the request came over: then it may go without key and signature of its own. */
  readonly session?: KeyKind | undefined
}

/** What passed the gate: the work, and the key that asked for it. */
export interface Admitted {
  readonly run: Run
  /** Undefined for requests that nobody signs. */
  readonly keyKind: KeyKind | undefined
}

const missingKey = openQuestions.webSocketKeyMissing === -2014 ? badKeyFormat : mandatory("apiKey")
const keyForm = /^[\x21-\x7e]{1,256}$/
const defaultRecvWindow = "5000"
const greatestRecvWindow = 60_000
/** How far ahead of the server a timestamp may be. */
const aheadMillis = 1_000
/** From here on the exchange has a complaint of its own about timestamps ahead. */
const farAheadMillis = 10_000
const start2017 = 1_483_228_800_000
const millisDigits = 13
const microsDigits = 16

const publicComplaints: ReadonlyArray<Complaint> = openQuestions.complaints.filter(
  (complaint) => complaint !== "keyForm" && complaint !== "time" && complaint !== "signature" && complaint !== "key"
)

export const admit = (endpoint: Endpoint, arrival: Arrival, keyring: Keyring, now: number): Admitted | Refusal => {
  const { payload, session, signature, values } = arrival
  const { isSigned } = endpoint
  const isOfSession = session !== undefined && arrival.apiKey === undefined && signature === undefined
  const parameters = new Parameters(values, arrival.credentials)
  const run = endpoint.read(parameters)
  const timestamp = isSigned ? parameters.timestamp() : ""
  const recvWindow = isSigned ? parameters.recvWindow() : undefined
  let keyKind = isOfSession ? session : undefined
  for (const complaint of isSigned ? openQuestions.complaints : publicComplaints) {
    let refusal: Refusal | undefined
    switch (complaint) {
      case "keyForm":
        if (!isOfSession && !keyForm.test(arrival.apiKey ?? "")) {
          refusal = arrival.isEncoded || arrival.apiKey !== undefined ? badKeyFormat : missingKey
        }
        break
      case "duplicates":
        if (arrival.hasDuplicates) refusal = duplicateParameter
        break
      case "tooMany":
        // Only over REST: the WebSocket API goes on to what it has not read.
        if (arrival.isEncoded) refusal = parameters.tooMany(isSigned ? 1 : 0)
        break
      case "parameters":
        refusal = parameters.fault()
        if (refusal === undefined && isSigned && !isOfSession && !signature) refusal = mandatory("signature")
        break
      case "unread":
        refusal = parameters.unread(isSigned)
        break
      case "time":
        refusal = checkTime(timestamp, recvWindow, now)
        break
      case "signature":
        if (isOfSession) break
        if (arrival.isEncoded && !isAscii(payload)) refusal = badSignature
        // Nobody can tell the signature of a key that nobody knows.
        else if (keyring.knows(arrival.apiKey)) {
          keyKind = keyring.kindOf(payload, signature ?? "")
          if (keyKind === undefined) refusal = badSignature
        }
        break
      case "key":
        if (!keyring.knows(isOfSession ? keyring.apiKey : arrival.apiKey)) refusal = unknownKey
        break
    }
    if (refusal !== undefined) return refusal
  }
  return { run, keyKind }
}

/** `now - timestamp <= recvWindow`, and less than a second ahead. Of 16 digits are microseconds, of 13 milliseconds. */
export const checkTime = (timestamp: string, recvWindow: string | undefined, now: number): Refusal | undefined => {
  const window = Number(recvWindow ?? defaultRecvWindow)
  if (window > greatestRecvWindow) return tooGreat("recvWindow", String(greatestRecvWindow))
  if (timestamp.length !== millisDigits && timestamp.length !== microsDigits) return ofOtherLength
  const sent = timestamp.length === microsDigits ? Number(timestamp) / 1_000 : Number(timestamp)
  if (sent < start2017) return before2017
  if (sent > now + farAheadMillis) return farAhead
  if (sent >= now + aheadMillis) return tooEarly
  return now - sent <= window ? undefined : tooOld
}
