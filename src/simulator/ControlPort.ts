/**
 * The control port: everything that can be made to go wrong, and the judge's ledger, as JSON over HTTP.
 *
 * A port of its own, on 127.0.0.1 alone, and only when asked for. Bodies are decoded strictly; a request that cannot be
 * understood changes nothing and is answered 400 {"error": sentence}. Every other answer is 200 with JSON. Times are in
 * milliseconds. M is a number, or two ([low, high]) of which one between is drawn from the seed.
 *
 *   POST   /faults            one fault, or an array of them          → {"ids":[n, …]}
 *     {"on":"POST /api/v3/order", "kind":…, "clientOrderId"?:id, "times"?:n|"always", "skip"?:n, …}
 *     `on` names the request as REST does, or as the WebSocket API does ("order.place"), and strikes there alone.
 *     `clientOrderId`: only requests that name this order. `skip`: so many matching requests pass first.
 *     DONE, when the engine does it: "now" (if absent) | "never" | {"afterMillis":M} | {"afterDeadlineMillis":M};
 *     the deadline is timestamp + recvWindow, on the exchange's clock.
 *       answerLost     done?:DONE, reset?:bool      the connection is cut without an answer (reset: by TCP reset)
 *       neverArrives                                cut before anything is done
 *       hangs          done?:DONE                   no answer, the connection stays open
 *       answerLate     millis:M                     done now, answered so much later
 *       answerCut      done?:DONE                   the answer is cut in the middle
 *       answerGarbled  how:"short"|"html"|"empty"|"wrongType", done?:DONE     status 200, but no JSON answer
 *       held           millis?:M | beyondDeadlineMillis?:M, check?:"second"|"third"
 *                      waits between the checks of its time; too old by then: -1021, and the order count + 1
 *       unavailable    status?:500|502|503|504, done?:DONE                    a page of HTML
 *       timeout        code?:-1000|-1001|-1006|-1007|-1008|-1016, done?:DONE  says nothing of the outcome
 *       gone                                        410, a page of HTML, not done
 *       blocked                                     403, a page of HTML, not done
 *       refused        status:n, code:n, message:text, retryAfterSeconds?:n   not done
 *       filledFirst    share?:"whole"|"part"        a cancel whose order is filled just before it
 *       halved         placed?:DONE                 a cancel-replace: its cancel is done now, its new order then, never if
 *                                                   absent; no answer, the connection stays open
 *       crash          when:"arrived"|"written"     the process is killed (kill -9); written: done, not answered
 *   PUT    /faults/rates      {"rates":[{…fault without times and skip, "probability":0…1}, …], "seed"?:n}
 *                             replaces all rates; per request they are tried in order, at most one strikes
 *   GET    /faults            ?clientOrderId=id
 *                             → {"seed":n, "faults":[{"id":n,"fault":{…},"left":n|"always","struck":n}, …],
 *                                "rates":[{"rate":{…},"struck":n}, …], "struck":{kind:n, …}}
 *   DELETE /faults            nothing goes wrong any more: faults, rates, reads, events, limits.
 *                             ?clientOrderId=id: only the single faults of that order that still wait
 *
 *   POST   /clock             {"stepMillis":n} | {"offsetMillis":n} | {"driftPpm":n}           → as GET
 *   GET    /clock             → {"now":n, "offsetMillis":n, "driftPpm":n}
 *
 *   POST   /reads             {"orders"?:n|"forever", "histories"?:n|"forever", "clientOrderId"?:id}; 0 ends it
 *                             reads of one order and of the open ones (orders), of all orders and trades (histories)
 *                             show the exchange as it was so long ago, for all orders or for one
 *   GET    /reads             → [{"reads":"orders"|"histories", "clientOrderId":id|null, "millis":n|"forever"}, …]
 *   DELETE /reads
 *
 *   POST   /stream            one of, or an array of
 *     {"action":"cut"}        all WebSocket connections end without a close frame
 *     {"action":"close"}      with a close frame, without notice      {"action":"shutdown"}  serverShutdown, then close
 *     {"action":"announce"}   serverShutdown, and they stay open for now
 *     {"action":"silence"}    stay open and say nothing more, not even pings; new connections are well
 *     {"action":"refuse", "millis":n}                                 new connections are refused with 503 so long
 *     {"action":"drop"|"duplicate"|"delay"|"reorder", "millis"?:M, "event"?:name, "execution"?:type,
 *      "clientOrderId"?:id, "times"?:n|"always"}                      the next user data events that fit;
 *                             delay needs millis; reorder: after the next event, or after millis (1,000) at most
 *   PUT    /stream/rates      {"rates":[{…an event's fault without times, "probability":0…1}, …], "seed"?:n}
 *   GET    /stream            → {"connections":n, "events":[{"fault":{…},"left":n|"always","struck":n}, …],
 *                                "rates":[{"rate":{…},"struck":n}, …]}
 *   DELETE /stream            no event's fault or rate any more
 *
 *   POST   /limits            {"status":429|418|403, "millis":n, "retryAfterSeconds"?:n, "of"?:"all"|"orders"}
 *                             everybody is refused so long: -1003 (429 of orders: -1015 for those that place);
 *                             Retry-After is the time left unless said otherwise; 403 is a page of HTML
 *   GET    /limits            → [{"answer":{…}, "until":n, "struck":n}, …]          DELETE /limits
 *
 *   POST   /ids               {"freeAfter"?:["FILLED"|"EXPIRED"|"EXPIRED_IN_MATCH"|"CANCELED"|"REJECTED", …],
 *                              "scope"?:"symbol"|"account"}: when a client order id is accepted again, and where it is
 *                             exclusive while open; other answers to what the documentation leaves open
 *   GET    /ids               → {"freeAfter":[…], "scope":…}                      DELETE /ids  as documented again
 *
 *   POST   /key               {"revoked":bool}: the API key is known no more (-2015), or again          GET    /key
 *
 *   POST   /market            {"symbol":text, "price":decimal}: the price goes there, trading what stands in the way
 *   POST   /reset             the testnet's reset: orders, trades, ids gone; balances restored; keys and account kept
 *   POST   /crash             kill -9 of the process, which must be the simulator's own (`simulate-exchange`)
 *   GET    /ledger            ?clientOrderId=id&symbol=text&life=n
 *                             → {"life":n, "orders":[{"life", "symbol", "orderId", "clientOrderId",
 *                                "formerClientOrderIds":[id before it was amended, …], "side", "type",
 *                                "timeInForce", "status", "price", "origQty", "executedQty", "acceptedAt", "updatedAt",
 *                                "trades":[{"id","price","qty","time","isMaker"}, …]}, …]}
 *                             every order ever accepted, over resets and, with a journal, over restarts
 *   GET    /conservation      → {asset: sum over all accounts, …}
 */
import http from "node:http"
import { Effect, type Scope } from "effect"
import { answerOf, type Control, ControlFault } from "./controlRoutes.ts"
import { SimulatorError } from "./SimulatorError.ts"

const host = "127.0.0.1"
const greatestBody = 1 << 20
/** A page of the web that resolves its own name to this machine must not get in. */
const ownName = /^(127\.0\.0\.1|localhost)(:\d+)?$/

/** Gives the address, without a path. */
export const openControlPort = (control: Control, port: number): Effect.Effect<string, SimulatorError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<http.Server, SimulatorError>((resume) => {
      const server = http.createServer((req, res) => receive(control, req, res))
      server.once("error", (error: NodeJS.ErrnoException) =>
        resume(
          Effect.fail(
            new SimulatorError({
              problem: `The control port cannot listen on ${host}:${port} (${error.code ?? error.message}): give another.`
            })
          )
        )
      )
      server.listen(port, host, () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  ).pipe(
    Effect.map((server) => {
      const address = server.address()
      return `http://${host}:${typeof address === "object" && address !== null ? address.port : port}`
    })
  )

const receive = (control: Control, req: http.IncomingMessage, res: http.ServerResponse): void => {
  const chunks: Array<Buffer> = []
  let size = 0
  req.on("error", () => {})
  res.on("error", () => {})
  req.on("data", (chunk: Buffer) => {
    size += chunk.length
    if (size <= greatestBody) chunks.push(chunk)
  })
  req.on("end", () => {
    try {
      if (!ownName.test(req.headers.host ?? "")) throw new ControlFault(`Host must be ${host} or localhost`)
      // Nor a page that posts here under its own name: browsers say whose page it is, programs do not.
      if (req.headers.origin !== undefined) throw new ControlFault("a page of the web has no say here")
      if (size > greatestBody) throw new ControlFault(`the body is longer than ${greatestBody} bytes`)
      const url = new URL(req.url ?? "/", `http://${host}`)
      const text = Buffer.concat(chunks).toString("utf8")
      send(res, 200, answerOf(control, `${req.method} ${url.pathname}`, url.searchParams, text))
    } catch (error) {
      if (error instanceof ControlFault) send(res, 400, { error: error.message })
      else send(res, 500, { error: String(error) })
    }
  })
}

const send = (res: http.ServerResponse, status: number, value: unknown): void => {
  const text = JSON.stringify(value)
  res.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) })
  res.end(text)
}
