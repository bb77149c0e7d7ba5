/**
 * The REST API on node:http, without anything between: from bytes to the state machine and back in one turn.
 *
 * Faults strike here, at the edge, where networks and front ends fail.
 */
import { randomUUID } from "node:crypto"
import http from "node:http"
import net from "node:net"
import type { Duplex } from "node:stream"
import type { Endpoint, Run, Twist } from "./Endpoint.ts"
import { endpoints } from "./endpoints.ts"
import { isBlocked } from "./firewall.ts"
import type { Arrival } from "./Gate.ts"
import { forbiddenPage, gonePage, notFoundPage, type Page } from "./pages.ts"
import { type Forms, parseForms, unescapeForm } from "./Parameters.ts"
import { badSignature, invalidTimeUnit, isRefusal, malformedRequest, type Refusal } from "./Refusal.ts"
import type { Service } from "./Service.ts"
import { isAscii, withoutSignature } from "./signing.ts"
import { strike, type Struck } from "./strike.ts"
import { answerInMicros, isTimeUnit, wantsMicros } from "./timeUnit.ts"

const byName = new Map(endpoints.map((endpoint) => [endpoint.rest, endpoint]))
/** Far more than any documented request needs. */
const greatestBody = 64 * 1024
const json = "application/json;charset=UTF-8"
/** Before the path where a client asks as it would ask a proxy. */
const origin = /^https?:\/\/[^/]+/i
/** Endpoints that the exchange has removed: listen keys, and the first version of the API. */
const gone = /^(?:POST|PUT|DELETE) \/api\/v3\/userDataStream$|^[A-Z]+ \/api\/v1\//

interface Exchanged {
  readonly res: http.ServerResponse
  readonly endpoint: Endpoint
  readonly arrival: Arrival
  readonly address: string
  readonly inMicros: boolean
  /** The header asks for times in a unit that there is. */
  readonly hasUnit: boolean
}

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
  server.on("clientError", refuseBytes)
  return server
}

/** What is no HTTP, and addresses with raw bytes beyond ASCII: those cannot have been encoded before they were signed. */
const refuseBytes = (error: Error & { readonly rawPacket?: Buffer }, socket: Duplex): void => {
  if (!socket.writable) return
  const isSigned = error.rawPacket?.toString("latin1").includes("signature=") === true
  const body = errorText(isSigned ? badSignature : malformedRequest)
  const head = `HTTP/1.1 400 Bad Request\r\nContent-Type: ${json}\r\nContent-Length: ${body.length}\r\n`
  socket.end(`${head}Connection: close\r\n\r\n${body}`)
}

const arrive = (service: Service, req: http.IncomingMessage, res: http.ServerResponse, body: string): void => {
  const url = (req.url ?? "/").replace(origin, "")
  const cut = url.indexOf("?")
  const name = `${req.method} ${cut < 0 ? url : url.slice(0, cut)}`
  const query = cut < 0 ? "" : url.slice(cut + 1)
  const address = req.socket.remoteAddress ?? ""
  const endpoint = byName.get(name)
  if (endpoint === undefined) return sendPage(service, address, res, gone.test(name) ? gonePage : notFoundPage)
  // A GET takes its parameters from the query alone, though its signature would cover a body too.
  const forms = parseForms(query, req.method === "GET" ? "" : readable(body))
  if (isBlocked(query + body, forms.values)) return sendPage(service, address, res, forbiddenPage)
  const unit = req.headers["x-mbx-time-unit"]
  const exchanged = {
    res,
    endpoint,
    address,
    arrival: arrivalOf(req, forms, query, body),
    inMicros: wantsMicros(unit),
    hasUnit: isTimeUnit(unit)
  }
  const fault = service.strikeOf(endpoint.rest, forms.values)
  if (fault === undefined) service.arrives(() => serve(service, exchanged))
  else service.arrives(() => strike(service, struckBy(service, exchanged), fault))
}

/** Bytes that should have been encoded are refused, but not for what they look like one by one. */
const readable = (body: string): string => (isAscii(body) ? body : Buffer.from(body, "latin1").toString("utf8"))

const arrivalOf = (
  req: http.IncomingMessage,
  { hasDuplicates, values }: Forms,
  query: string,
  body: string
): Arrival => {
  values.delete("signature")
  const [queryPayload, querySignature] = withoutSignature(query)
  const [bodyPayload, bodySignature] = body === "" ? ["", undefined] : withoutSignature(body)
  const signature = querySignature ?? bodySignature
  const apiKey = req.headers["x-mbx-apikey"]
  return {
    values,
    hasDuplicates,
    apiKey: Array.isArray(apiKey) ? apiKey[0] : apiKey,
    signature: signature === undefined ? undefined : unescapeForm(signature),
    credentials: signature === undefined ? 0 : 1,
    payload: queryPayload + bodyPayload,
    isEncoded: true
  }
}

interface Outcome {
  readonly status: number
  readonly text: string
  readonly refusal: Refusal | undefined
}

const prepare = (service: Service, { address, arrival, endpoint, hasUnit }: Exchanged): Run | Refusal =>
  hasUnit ? service.admit(endpoint, arrival, address) : invalidTimeUnit

const finish = (service: Service, exchanged: Exchanged, run: Run | Refusal, twist?: Twist): Outcome => {
  const { address, arrival, endpoint, inMicros } = exchanged
  const value = isRefusal(run) ? run : service.perform(run, twist)
  const refusal = isRefusal(value) ? value : undefined
  service.charge(endpoint, arrival.values, address, refusal !== undefined)
  return refusal === undefined
    ? { status: 200, text: JSON.stringify(inMicros ? answerInMicros(value, endpoint.webSocket) : value), refusal }
    : { status: refusal.status, text: errorText(refusal), refusal }
}

const serve = (service: Service, exchanged: Exchanged): void => {
  const outcome = finish(service, exchanged, prepare(service, exchanged))
  service.settled(() => answer(service, exchanged, outcome))
}

const struckBy = (service: Service, exchanged: Exchanged): Struck<Outcome> => ({
  values: exchanged.arrival.values,
  prepare: () => prepare(service, exchanged),
  finish: (run, twist) => finish(service, exchanged, run, twist),
  refuse: (refusal) => ({ status: refusal.status, text: errorText(refusal), refusal }),
  textOf: ({ text }) => text,
  answer: (outcome) => answer(service, exchanged, outcome),
  page: (page) => sendPage(service, exchanged.address, exchanged.res, page),
  cut: (withReset) => cutOff(exchanged.res, withReset),
  chargeLate: (refusal) => service.chargeLate(exchanged.endpoint, refusal)
})

const answer = (service: Service, { address, endpoint, res }: Exchanged, { refusal, status, text }: Outcome): void => {
  const now = service.now()
  const headers = headersFor(service, address)
  if (endpoint.isOrder === true && refusal === undefined) {
    const [tenSeconds, day] = service.limits.orderCounts(now)
    headers["x-mbx-order-count-10s"] = tenSeconds
    headers["x-mbx-order-count-1d"] = day
  }
  // The window may have ended on the way back.
  if (refusal?.retryAt !== undefined) headers["Retry-After"] = Math.max(0, Math.ceil((refusal.retryAt - now) / 1_000))
  send(res, status, json, text, headers)
}

/** On every answer, whoever gives it. */
const headersFor = (service: Service, address: string): http.OutgoingHttpHeaders => {
  const weight = service.limits.usedWeight(address, service.now())
  return { "x-mbx-uuid": randomUUID(), "x-mbx-used-weight": weight, "x-mbx-used-weight-1m": weight }
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

const sendPage = (service: Service, address: string, res: http.ServerResponse, page: Page): void => {
  const headers = headersFor(service, address)
  if (page.retryAfterSeconds !== undefined) headers["Retry-After"] = page.retryAfterSeconds
  if (page.isCut !== true) return send(res, page.status, page.type, page.text, headers)
  res.writeHead(page.status, { "Content-Type": page.type, "Content-Length": 2 * Buffer.byteLength(page.text) + 1 })
  res.write(page.text, () => cutOff(res, false))
}

const cutOff = (res: http.ServerResponse, withReset: boolean): void => {
  if (withReset && res.socket instanceof net.Socket) res.socket.resetAndDestroy()
  else res.socket?.destroy()
}

const errorText = ({ code, data, message }: Refusal): string =>
  JSON.stringify(data === undefined ? { code, msg: message } : { code, msg: message, data })
