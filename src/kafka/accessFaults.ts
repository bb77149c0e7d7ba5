/**
 * Says in one sentence, with the key that mends it, why Kafka and this client do not come together: an unknown
 * authority, a wrong password, TLS on one side only. kafkajs and TLS have other words for these.
 *
 * Such a fault is waited for like any absence, since it may be mended on Kafka's side; but it is told as what it is.
 */
import { Predicate, Schema } from "effect"

/** Kafka is there, and does not take us or we not it. */
export class AccessFault extends Schema.TaggedError<AccessFault>()("AccessFault", {
  sentence: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return this.sentence
  }
}

/** The same error in our words where we have some. `atFirst`: nothing had been answered on this client yet. */
export const explained = (error: unknown, atFirst: "atFirst" | "later"): unknown => {
  for (const each of chainOf(error)) {
    const sentence = sentenceOf(each) ?? (atFirst === "atFirst" && isClosed(each) ? closedAtFirst : undefined)
    if (sentence !== undefined) return new AccessFault({ sentence, cause: error })
  }
  return error
}

/** kafkajs wraps an error once or twice. */
const chainOf = (error: unknown): ReadonlyArray<unknown> => {
  const chain: Array<unknown> = []
  for (let current = error; current instanceof Error && chain.length < 5; current = current.cause) chain.push(current)
  return chain
}

const textOf = (error: unknown, name: "message" | "code" | "type" | "name"): string =>
  Predicate.hasProperty(error, name) && typeof error[name] === "string" ? error[name] : ""

const isClosed = (error: unknown): boolean =>
  textOf(error, "name") === "KafkaJSConnectionClosedError" ||
  /Closed connection|Connection closed by the server|ECONNRESET|socket hang up/.test(textOf(error, "message"))

const closedAtFirst =
  "Kafka closed the connection before it answered. Unless it is just stopping: a listener that speaks TLS does that " +
  "to a client that does not (kafka.tls.enabled), one that asks for a user to a client without (kafka.sasl_mechanism)"

const sentenceOf = (error: unknown): string | undefined => {
  const message = textOf(error, "message")
  const type = textOf(error, "type")
  if (type === "UNSUPPORTED_SASL_MECHANISM" || /mechanism is not supported by the server/.test(message)) {
    return "Kafka has no such way to log in: kafka.sasl_mechanism must be one that its listener takes"
  }
  if (type === "ILLEGAL_SASL_STATE") {
    return "Kafka does not expect a user on this listener: kafka.sasl_mechanism must be none there, or kafka.brokers name another listener"
  }
  if (textOf(error, "name") === "KafkaJSSASLAuthenticationError" || type === "SASL_AUTHENTICATION_FAILED") {
    return "Kafka does not let this user in: kafka.username and kafka.password must be those that it has"
  }
  return tlsSentences.find(([pattern]) => pattern.test(`${textOf(error, "code")} ${message}`))?.[1]
}

const tlsSentences: ReadonlyArray<readonly [pattern: RegExp, sentence: string]> = [
  [
    /ERR_TLS_CERT_ALTNAME_INVALID/,
    "Kafka's certificate is of another host than kafka.brokers names: name it as its certificate does"
  ],
  [
    /CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/,
    "Kafka's certificate is not valid today: it has expired, or a clock is wrong"
  ],
  [
    /SELF_SIGNED_CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT/,
    "Kafka's certificate is of an authority that is not known here: kafka.tls.ca_file must hold the certificate of that authority"
  ],
  [
    /before secure TLS connection was established|wrong version number|packet length too long/i,
    "Kafka speaks no TLS there: kafka.tls.enabled must be false, or kafka.brokers name a listener that does"
  ],
  [
    /certificate[ _]required|bad[ _]certificate|certificate[ _]unknown|unknown[ _]ca/i,
    "Kafka asks for a certificate of ours that it knows: kafka.tls.cert_file and kafka.tls.key_file must hold one"
  ]
]
