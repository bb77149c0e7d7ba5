/** A client of the control port, and the account's own requests in few words. */
import http from "node:http"
import { Effect } from "effect"
import type { Fault } from "../../src/simulator/Faults.ts"
import type { LedgerOrder } from "../../src/simulator/Ledger.ts"
import type { RunningSimulator } from "../../src/simulator/Server.ts"
import { type Answer, openStream, signedParams, startSimulator, until } from "./client.ts"

export const place = "POST /api/v3/order"
export const query = "GET /api/v3/order"
export const cancel = "DELETE /api/v3/order"

// oxlint-disable-next-line typescript/no-explicit-any
type Json = any

export const ask = (
  controlUrl: string | undefined,
  request: string,
  body?: unknown,
  headers: Record<string, string> = {}
): Effect.Effect<{ readonly status: number; readonly json: Json }> =>
  Effect.callback((resume) => {
    const [method = "", path = ""] = request.split(" ")
    const text = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body)
    const req = http.request(`${controlUrl}${path}`, { method, agent: false, headers }, (res) => {
      const chunks: Array<Buffer> = []
      res.on("data", (chunk: Buffer) => chunks.push(chunk))
      res.on("end", () =>
        resume(
          Effect.succeed({ status: res.statusCode ?? 0, json: JSON.parse(Buffer.concat(chunks).toString("utf8")) })
        )
      )
    })
    req.on("error", (error) => resume(Effect.die(error)))
    req.end(text)
  })

/** A simulator with its control port, and what is asked of it; a refusal of the port is a defect of the test. */
export const controlled = Effect.fnUntraced(function* (options: Parameters<typeof startSimulator>[0] = {}) {
  const simulator = yield* startSimulator({ controlPort: 0, ...options })
  const control = (request: string, body?: unknown) =>
    Effect.flatMap(ask(simulator.controlUrl, request, body), ({ json, status }) =>
      status === 200 ? Effect.succeed(json) : Effect.die(new Error(`${request}: ${json.error}`))
    )
  const ledger: Effect.Effect<ReadonlyArray<LedgerOrder>> = Effect.map(control("GET /ledger"), ({ orders }) => orders)
  return {
    simulator,
    control,
    arm: (...faults: ReadonlyArray<Fault>) => control("POST /faults", faults),
    ledger,
    ids: Effect.map(ledger, (orders) => orders.map(({ clientOrderId }) => clientOrderId))
  }
})

/** A connection to the WebSocket API that asks and waits for the answer with its id. */
export const openApi = Effect.fnUntraced(function* (simulator: RunningSimulator) {
  const stream = yield* openStream(simulator.wsApiUrl)
  let nextId = 1
  const answerTo = (id: number): Json => stream.messages.find((message) => message.id === id)
  return {
    stream,
    answerTo,
    tell: (method: string, params: Parameters<typeof signedParams>[0] = {}) => {
      const id = nextId++
      stream.send({ id, method, params: signedParams(params) })
      return id
    },
    ask: Effect.fnUntraced(function* (method: string, params: Parameters<typeof signedParams>[0] = {}) {
      const id = nextId++
      stream.send({ id, method, params: signedParams(params) })
      yield* until(`${method} is answered`, () => answerTo(id) !== undefined)
      return answerTo(id)
    })
  }
})

/** What came of a request that may have no answer. */
export const outcomeOf = (request: Effect.Effect<Answer, Error>) =>
  Effect.match(request, {
    onFailure: (error) => (("code" in error ? error.code : error.message) as string) ?? "failed",
    onSuccess: ({ json, status }) => `${status} ${json?.code ?? json?.status ?? "no JSON"}`
  })
