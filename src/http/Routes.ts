/**
 * Which path and method belongs to which handler. A handful of paths are compared one by one: that costs
 * nearly nothing; what a general router costs stands in docs/decisions/0008-lean-http-routes.md.
 */
import type { IncomingMessage } from "node:http"
import { Effect, Result } from "effect"
import { openApi } from "./Api.ts"
import type { makeOps } from "./Ops.ts"
import type { makeOrders, OrderHeaders } from "./Orders.ts"
import { badParameters } from "./Orders.ts"
import type { Answer } from "./Problem.ts"
import { json, problem } from "./Problem.ts"

export type Route =
  /** May be given up when the client leaves. */
  | { readonly _tag: "Read"; readonly answer: Effect.Effect<Answer> }
  /** Once begun it is carried through, whether or not anybody waits for the answer. */
  | { readonly _tag: "Command"; readonly answer: Effect.Effect<Answer> }
  /** A command with a body, which must be read first. */
  | { readonly _tag: "Body"; readonly answer: (body: Buffer) => Effect.Effect<Answer> }
  | { readonly _tag: "Refused"; readonly answer: Answer }

const ordersPath = "/api/v1/orders"
const symbolsPrefix = "/api/v1/symbols/"

export const makeRoutes = (orders: Effect.Success<typeof makeOrders>, ops: Effect.Success<typeof makeOps>) => {
  // Made at the first request for it, since most processes never have one.
  let document: string | undefined
  const openApiAnswer = Effect.sync(() => json(200, (document ??= openApi())))

  const single = (rest: string, request: IncomingMessage): Route => {
    const slash = rest.indexOf("/")
    const id = decoded(slash < 0 ? rest : rest.slice(0, slash))
    if (id === undefined || id === "") return notFound()
    const { method } = request
    if (slash >= 0) {
      if (rest.slice(slash) !== "/events") return notFound()
      return isRead(method) ? { _tag: "Read", answer: orders.events(id) } : notAllowed("GET, HEAD")
    }
    if (isRead(method)) return { _tag: "Read", answer: orders.find(id, headersOf(request)) }
    if (method === "DELETE") return { _tag: "Command", answer: orders.cancel(id, headersOf(request)) }
    return notAllowed("GET, HEAD, DELETE")
  }

  const plain = (path: string): Effect.Effect<Answer> | null => {
    switch (path) {
      case "/health":
        return ops.health
      case "/ready":
        return ops.ready
      case "/metrics":
        return ops.metrics
      case "/openapi.json":
        return openApiAnswer
      case "/api/v1/balances":
        return ops.balances
      case "/api/v1/reconciliation":
        return ops.reconciliation
    }
    if (!path.startsWith(symbolsPrefix)) return null
    const symbol = decoded(path.slice(symbolsPrefix.length))
    return symbol === undefined || symbol === "" || symbol.includes("/") ? null : ops.symbol(symbol)
  }

  return (request: IncomingMessage): Route => {
    const { method, url = "" } = request
    const mark = url.indexOf("?")
    const path = mark < 0 ? url : url.slice(0, mark)
    if (path === ordersPath && isRead(method)) {
      return { _tag: "Read", answer: orders.list(new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1))) }
    }
    if (path === ordersPath && method === "DELETE") {
      const query = new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1))
      return { _tag: "Command", answer: orders.cancelAll(query, headersOf(request)) }
    }
    const route =
      path === ordersPath
        ? ofOrders(request)
        : path.startsWith(`${ordersPath}/`)
          ? single(path.slice(ordersPath.length + 1), request)
          : ofPlain(plain(path), method)
    return mark >= 0 && mark < url.length - 1 && route._tag !== "Refused" ? noParameters(url.slice(mark + 1)) : route
  }

  function ofOrders(request: IncomingMessage): Route {
    if (request.method !== "POST") return notAllowed("GET, HEAD, POST, DELETE")
    return { _tag: "Body", answer: (body) => orders.place(body, headersOf(request)) }
  }
}

const isRead = (method: string | undefined): boolean => method === "GET" || method === "HEAD"

const ofPlain = (answer: Effect.Effect<Answer> | null, method: string | undefined): Route =>
  answer === null ? notFound() : isRead(method) ? { _tag: "Read", answer } : notAllowed("GET, HEAD")

const headersOf = ({ headers }: IncomingMessage): OrderHeaders => ({
  idempotencyKey: one(headers["idempotency-key"]),
  traceParent: one(headers.traceparent),
  ifNoneMatch: headers["if-none-match"]
})

const one = (value: string | ReadonlyArray<string> | undefined): string | undefined =>
  typeof value === "string" || value === undefined ? value : value.join(", ")

/** Undefined: the escapes are not UTF-8. */
const decoded = (segment: string): string | undefined =>
  segment.includes("%") ? Result.getOrUndefined(Result.try(() => decodeURIComponent(segment))) : segment

const notFound = (): Route => ({
  _tag: "Refused",
  answer: problem(404, "not_found", "there is nothing at this address; /openapi.json lists what there is")
})

const notAllowed = (allow: string): Route => ({
  _tag: "Refused",
  answer: problem(405, "method_not_allowed", `allowed here: ${allow}`, { headers: ["Allow", allow] })
})

const noParameters = (query: string): Route => ({
  _tag: "Refused",
  answer: badParameters(
    [...new Set(new URLSearchParams(query).keys())].slice(0, 20).map((name) => ({
      code: "unknown_parameter",
      field: name.slice(0, 64),
      limit: null,
      actual: null,
      hint: "no such parameter; this address takes none"
    }))
  )
})
