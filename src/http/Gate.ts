/**
 * What is refused by its headers alone, before a body is read or an effect is run.
 *
 * A page of another site, open in the browser of somebody who runs Nexus on their own machine, can reach
 * loopback: by a cross-site request, which carries its Origin, or by a name of its own that it lets point
 * to 127.0.0.1, which then stands in Host. Both are turned away; programs send neither.
 */
import type { IncomingMessage } from "node:http"
import type { Answer } from "./Problem.ts"
import { problem } from "./Problem.ts"

/** An order's path has 78 characters at most, a list's query a few hundred. */
const maxAddressLength = 2_048

const loopbackHosts = new Set(["localhost", "127.0.0.1", "[::1]"])

export const isLoopback = (host: string): boolean =>
  loopbackHosts.has(host) || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)

/** Null: it may pass. Of an open host the names are not known, so only the Origin is asked there. */
export const makeGate = (configuredHost: string) => {
  const asksHost = isLoopback(configuredHost)
  const accepted = new Set([...loopbackHosts, configuredHost.toLowerCase(), `[${configuredHost.toLowerCase()}]`])
  return (request: IncomingMessage): Answer | null => {
    const { host = "", origin } = request.headers
    if ((request.url ?? "").length > maxAddressLength) {
      return problem(414, "address_too_long", `the address must not be longer than ${maxAddressLength} characters`)
    }
    if (asksHost && !accepted.has(withoutPort(host).toLowerCase())) {
      return problem(
        403,
        "foreign_host",
        "this server listens on loopback and answers only to localhost, 127.0.0.1 and [::1]"
      )
    }
    if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
      return problem(403, "foreign_origin", "pages of other sites may not use this API; leave the Origin header out")
    }
    return null
  }
}

const withoutPort = (host: string): string => host.replace(/:\d+$/, "")

const jsonType = /^application\/json[ \t]*(;[ \t]*charset[ \t]*=[ \t]*"?utf-8"?[ \t]*)?$/i

/** Null: its body may be read. */
export const refuseBody = (request: IncomingMessage, maxBytes: number): Answer | null => {
  const { "content-encoding": encoding, "content-length": length, "content-type": type } = request.headers
  if (type === undefined || (type !== "application/json" && !jsonType.test(type))) {
    return problem(415, "unsupported_media_type", "the body must be application/json in UTF-8; say so in Content-Type")
  }
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
    return problem(415, "unsupported_media_type", "the body must not be compressed")
  }
  return Number(length ?? 0) > maxBytes ? tooLarge(maxBytes) : null
}

export const tooLarge = (maxBytes: number): Answer =>
  problem(413, "body_too_large", `the body must not be larger than ${maxBytes} bytes`)
