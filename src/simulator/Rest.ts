/**
 * The REST API on node:http, without anything between: from bytes to the state machine and back in one turn.
 *
 * Faults strike here, at the edge, where networks and front ends fail.
 */
import http from "node:http"
import net from "node:net"
import type { Duplex } from "node:stream"
import type { Endpoint, Run, Twist } from "./Endpoint.ts"
import { endpoints } from "./endpoints.ts"
import type { Arrival } from "./Gate.ts"
import { parseForms } from "./Parameters.ts"
import { isRefusal, malformedRequest, noSuchEndpoint, type Refusal } from "./Refusal.ts"
import type { Service } from "./Service.ts"
import { withoutSignature } from "./signing.ts"
import { gonePage, type Page, strike, type Struck } from "./strike.ts"

const byName = new Map(endpoints.map((endpoint) => [endpoint.rest, endpoint]))
/** Far more than any documented request needs. */
const greatestBody = 64 * 1024
const json = "application/json;charset=UTF-8"
/** Endpoints that the exchange has removed: listen keys, and the first version of the API. */
const gone = /^\/api\/(v3\/userDataStream$|v1\/)/

interface Exchanged {
  readonly req: http.IncomingMessage
  readonly res: http.ServerResponse
  readonly endpoint: Endpoint
  readonly arrival: Arrival | Refusal
  readonly values: ReadonlyMap<string, string>
  readonly address: string
}

const noValues: ReadonlyMap<string, string> = new Map()

export const makeRestServer = (service: Service): http.Server => {
  const server = http.createServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }, (req, res) => {
    // The client may leave while its answer is on the way; that is its own affair.
    req.on("error", () => {})
    res.on("error", () => {})
    const hasBody = req.headers["content-length"] !== undefined || req.headers["transfer-encoding"] !== undefined
    if (!hasBody || req.headers["content-length"] === "0") return arrive(service, req, res, "")
    const chunks: Array<Buffer> = []
    let size = 0
    req.on("data", (chunk: Buffer) => {
      size += chunk.length
      if (size > greatestBody) req.destroy()
      else chunks.push(chunk)
    })
    req.on("end", () => arrive(service, req, res, Buffer.concat(chunks).toString("latin1")))
  })
  // Raw bytes outside ASCII in a URL, and whatever else is no HTTP.
  server.on("clientError", (_, socket: Duplex) => {
    const body = errorText(malformedRequest)
    if (socket.writable) {
      socket.end(
        `HTTP/1.1 400 Bad Request\r\nContent-Type: ${json}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`
      )
    }
  })
  return server
}

const arrive = (service: Service, req: http.IncomingMessage, res: http.ServerResponse, body: string): void => {
  const url = req.url ?? "/"
  const cut = url.indexOf("?")
  const path = cut < 0 ? url : url.slice(0, cut)
  const query = cut < 0 ? "" : url.slice(cut + 1)
  const endpoint = byName.get(`${req.method} ${path}`)
  if (endpoint === undefined) {
    if (gone.test(path)) sendPage(res, gonePage)
    else send(res, noSuchEndpoint.status, json, errorText(noSuchEndpoint), {})
    return
  }
  const values = parseForms(query, body)
  const address = req.socket.remoteAddress ?? ""
  const exchanged: Exchanged = isRefusal(values)
    ? { req, res, endpoint, address, arrival: values, values: noValues }
    : { req, res, endpoint, address, arrival: arrivalOf(req, values, query, body), values }
  const fault = service.strikeOf(endpoint.rest, exchanged.values)
  if (fault === undefined) service.arrives(() => serve(service, exchanged))
  else service.arrives(() => strike(service, struckBy(service, exchanged), fault))
}

const arrivalOf = (req: http.IncomingMessage, values: Map<string, string>, query: string, body: string): Arrival => {
  values.delete("signature")
  const [queryPayload, querySignature] = withoutSignature(query)
  const [bodyPayload, bodySignature] = body === "" ? ["", undefined] : withoutSignature(body)
  const apiKey = req.headers["x-mbx-apikey"]
  return {
    values,
    apiKey: Array.isArray(apiKey) ? apiKey[0] : apiKey,
    signature: querySignature ?? bodySignature,
    payload: queryPayload + bodyPayload,
    isEncoded: true
  }
}

interface Outcome {
  readonly status: number
  readonly text: string
  readonly refusal: Refusal | undefined
}

const prepare = (service: Service, { address, arrival, endpoint }: Exchanged): Run | Refusal =>
  isRefusal(arrival) ? arrival : service.admit(endpoint, arrival, address)

const finish = (service: Service, exchanged: Exchanged, run: Run | Refusal, twist?: Twist): Outcome => {
  const value = isRefusal(run) ? run : service.perform(run, twist)
  const refusal = isRefusal(value) ? value : undefined
  service.charge(exchanged.endpoint, exchanged.values, exchanged.address, refusal !== undefined)
  return refusal === undefined
    ? { status: 200, text: JSON.stringify(value), refusal }
    : { status: refusal.status, text: errorText(refusal), refusal }
}

const serve = (service: Service, exchanged: Exchanged): void => {
  const outcome = finish(service, exchanged, prepare(service, exchanged))
  service.settled(() => answer(service, exchanged, outcome))
}

const struckBy = (service: Service, exchanged: Exchanged): Struck<Outcome> => ({
  values: exchanged.values,
  prepare: () => prepare(service, exchanged),
  finish: (run, twist) => finish(service, exchanged, run, twist),
  refuse: (refusal) => ({ status: refusal.status, text: errorText(refusal), refusal }),
  textOf: ({ text }) => text,
  answer: (outcome) => answer(service, exchanged, outcome),
  page: (page) => sendPage(exchanged.res, page),
  cut: (withReset) => cutOff(exchanged.res, withReset),
  chargeLate: (refusal) => service.chargeLate(exchanged.endpoint, refusal)
})

const answer = (service: Service, { address, endpoint, res }: Exchanged, { refusal, status, text }: Outcome): void => {
  const now = service.now()
  const weight = service.limits.usedWeight(address, now)
  const headers: http.OutgoingHttpHeaders = { "x-mbx-used-weight": weight, "x-mbx-used-weight-1m": weight }
  if (endpoint.isOrder === true && refusal === undefined) {
    const [tenSeconds, day] = service.limits.orderCounts(now)
    headers["x-mbx-order-count-10s"] = tenSeconds
    headers["x-mbx-order-count-1d"] = day
  }
  if (refusal !== undefined && (status === 429 || status === 418)) {
    headers["Retry-After"] = Math.ceil((service.limits.retryAt(address, refusal, now) - now) / 1_000)
  }
  send(res, status, json, text, headers)
}

const send = (
  res: http.ServerResponse,
  status: number,
  type: string,
  text: string,
  headers: http.OutgoingHttpHeaders
): void => {
  headers["Content-Type"] = type
  headers["Content-Length"] = Buffer.byteLength(text)
  res.writeHead(status, headers)
  res.end(text)
}

const sendPage = (res: http.ServerResponse, page: Page): void => {
  const headers: http.OutgoingHttpHeaders = {}
  if (page.retryAfterSeconds !== undefined) headers["Retry-After"] = page.retryAfterSeconds
  if (page.isCut !== true) return send(res, page.status, page.type, page.text, headers)
  res.writeHead(page.status, { "Content-Type": page.type, "Content-Length": 2 * Buffer.byteLength(page.text) + 1 })
  res.write(page.text, () => cutOff(res, false))
}

const cutOff = (res: http.ServerResponse, withReset: boolean): void => {
  if (withReset && res.socket instanceof net.Socket) res.socket.resetAndDestroy()
  else res.socket?.destroy()
}

const errorText = ({ code, message }: Refusal): string => JSON.stringify({ code, msg: message })
