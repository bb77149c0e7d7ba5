/**
 * What each request of the control port does; `ControlPort.ts` has the protocol.
 *
 * A route takes decoded data and answers a value. What it cannot understand is a ControlFault, thrown before anything
 * is changed.
 */
import { Result, Schema } from "effect"
import { amount, format } from "./Amount.ts"
import { cancelReplace } from "./cancelReplaceEndpoint.ts"
import { defaultClientIdRules } from "./clientIds.ts"
import type { Clock } from "./Clock.ts"
import { requestsOfConnection } from "./connectionRequests.ts"
import { endpoints } from "./endpoints.ts"
import { EventFault, EventRate } from "./EventFaults.ts"
import { Fault, Rate } from "./Faults.ts"
import { ForcedAnswer } from "./ForcedAnswers.ts"
import type { Service } from "./Service.ts"
import type { WebSockets } from "./WebSockets.ts"

export interface Control {
  readonly service: Service
  readonly webSockets: WebSockets
  readonly clock: Clock
}

/** Why a request cannot be understood, as a sentence for people. */
export class ControlFault extends Error {}

const greatestLag = 86_400_000
const greatestOffset = 4_000_000_000_000
const greatestDrift = 100_000

const Lag = Schema.Union([
  Schema.Literal("forever"),
  Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: greatestLag }))
])
const Offset = Schema.Finite.check(Schema.isBetween({ minimum: -greatestOffset, maximum: greatestOffset }))
const Millis = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: greatestLag }))
const Seed = Schema.optionalKey(Schema.Int)

const ClockChange = Schema.Union([
  Schema.Struct({ stepMillis: Offset }),
  Schema.Struct({ offsetMillis: Offset }),
  Schema.Struct({
    driftPpm: Schema.Finite.check(Schema.isBetween({ minimum: -greatestDrift, maximum: greatestDrift }))
  })
])
const ReadLag = Schema.Struct({
  orders: Schema.optionalKey(Lag),
  histories: Schema.optionalKey(Lag),
  clientOrderId: Schema.optionalKey(Schema.String)
})
const ConnectionFault = Schema.Union([
  Schema.Struct({ action: Schema.Literals(["cut", "close", "shutdown", "announce", "silence"]) }),
  Schema.Struct({ action: Schema.Literal("refuse"), millis: Millis })
])
const StreamFault = Schema.Union([...ConnectionFault.members, ...EventFault.members])
const ClientIds = Schema.Struct({
  freeAfter: Schema.optionalKey(
    Schema.Array(Schema.Literals(["FILLED", "EXPIRED", "EXPIRED_IN_MATCH", "CANCELED", "REJECTED"]))
  ),
  scope: Schema.optionalKey(Schema.Literals(["symbol", "account"]))
})
const MarketMove = Schema.Struct({
  symbol: Schema.String,
  price: Schema.String.check(Schema.isPattern(/^\d{1,9}(\.\d{1,8})?$/))
})

const names = new Set([
  ...endpoints.flatMap(({ rest, webSocket }) => [rest, webSocket]).filter((name) => name !== ""),
  ...requestsOfConnection.keys()
])

type Query = ReadonlyMap<string, string>
type Route = (control: Control, body: unknown, query: Query) => unknown

/** Routes with a body take one; the names are the parameters that the query may have. */
interface Entry {
  readonly hasBody: boolean
  readonly parameters: ReadonlyArray<string>
  readonly run: Route
}

const read = (run: (control: Control, query: Query) => unknown, ...parameters: ReadonlyArray<string>): Entry => ({
  hasBody: false,
  parameters,
  run: (control, _, query) => run(control, query)
})

const write = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  run: (control: Control, value: S["Type"]) => unknown
): Entry => {
  const decode = Schema.decodeUnknownResult(schema, { onExcessProperty: "error", errors: "all" })
  return {
    hasBody: true,
    parameters: [],
    run: (control, body) => {
      const decoded = decode(body)
      if (Result.isFailure(decoded)) throw new ControlFault(decoded.failure.message.replaceAll(/\s*\n\s*/g, " "))
      return run(control, decoded.success)
    }
  }
}

const oneOrMore = <S extends Schema.Constraint>(schema: S) => Schema.Union([Schema.Array(schema), schema])
const done = { done: true }

const checkFault = (service: Service, { kind, on }: Fault | Rate): void => {
  if (kind === "crash" && !service.canCrash) throw cannotCrash()
  if (kind === "halved" && on !== cancelReplace.rest && on !== cancelReplace.webSocket) {
    throw new ControlFault(`kind: only ${cancelReplace.rest} and ${cancelReplace.webSocket} have halves`)
  }
  if (!names.has(on)) throw new ControlFault(`on: there is no request ${on}; there are ${[...names].join(", ")}`)
}
const listOf = <A>(value: A | ReadonlyArray<A>): ReadonlyArray<A> =>
  Array.isArray(value) ? (value as ReadonlyArray<A>) : [value as A]

const faultsOf = ({ service: { faults } }: Control, query: Query) => ({
  seed: faults.seed,
  faults: faults.list(query.get("clientOrderId")),
  rates: faults.listRates(),
  struck: faults.struckByKind
})

const lagsOf = ({ service }: Control) =>
  service.desk.exchange.lags.map(({ clientOrderId = null, millis, reads }) => ({
    reads,
    clientOrderId,
    millis: millis === Infinity ? "forever" : millis
  }))

const streamOf = ({ service, webSockets }: Control) => ({
  connections: webSockets.count,
  ...service.eventFaults.list()
})

const connect = ({ service, webSockets }: Control, fault: typeof ConnectionFault.Type): void => {
  switch (fault.action) {
    case "cut":
      return webSockets.cut()
    case "close":
      return webSockets.end(false)
    case "shutdown":
      return webSockets.end(true)
    case "announce":
      return webSockets.announceShutdown()
    case "silence":
      return webSockets.silence()
    case "refuse":
      webSockets.refuse(true)
      return service.timers.after(fault.millis, () => webSockets.refuse(false))
  }
}

const isConnectionFault = Schema.is(ConnectionFault)

const routes: Readonly<Record<string, Entry>> = {
  "GET /": read(() => Object.keys(routes)),

  "POST /faults": write(oneOrMore(Fault), ({ service }, value) => {
    const faults = listOf(value)
    for (const fault of faults) checkFault(service, fault)
    return { ids: faults.map((fault) => service.faults.next(fault)) }
  }),
  "PUT /faults/rates": write(Schema.Struct({ rates: Schema.Array(Rate), seed: Seed }), (control, { rates, seed }) => {
    for (const rate of rates) checkFault(control.service, rate)
    control.service.faults.rates(rates, seed)
    return faultsOf(control, new Map())
  }),
  "GET /faults": read(faultsOf, "clientOrderId"),
  "DELETE /faults": read(({ service }, query) => {
    const clientOrderId = query.get("clientOrderId")
    service.faults.clear(clientOrderId)
    if (clientOrderId !== undefined) return done
    service.eventFaults.clear()
    service.forced.clear()
    service.desk.exchange.staleReads(undefined)
    return done
  }, "clientOrderId"),

  "POST /clock": write(ClockChange, ({ clock }, change) => {
    if ("stepMillis" in change) clock.step(change.stepMillis)
    else if ("offsetMillis" in change) clock.set(change.offsetMillis)
    else clock.drift(change.driftPpm)
    return clock.view()
  }),
  "GET /clock": read(({ clock }) => clock.view()),

  "POST /reads": write(ReadLag, (control, { clientOrderId, ...lags }) => {
    for (const reads of ["orders", "histories"] as const) {
      const lag = lags[reads]
      if (lag === undefined) continue
      const millis = lag === "forever" ? Infinity : lag
      control.service.desk.exchange.staleReads({ reads, clientOrderId, millis })
    }
    return lagsOf(control)
  }),
  "GET /reads": read(lagsOf),
  "DELETE /reads": read(({ service }) => {
    service.desk.exchange.staleReads(undefined)
    return done
  }),

  "POST /stream": write(oneOrMore(StreamFault), (control, value) => {
    for (const fault of listOf(value)) {
      if (isConnectionFault(fault)) connect(control, fault)
      else control.service.eventFaults.next(fault)
    }
    return streamOf(control)
  }),
  "PUT /stream/rates": write(
    Schema.Struct({ rates: Schema.Array(EventRate), seed: Seed }),
    (control, { rates, seed }) => {
      control.service.eventFaults.rates(rates, seed)
      return streamOf(control)
    }
  ),
  "GET /stream": read(streamOf),
  "DELETE /stream": read(({ service }) => {
    service.eventFaults.clear()
    return done
  }),

  "POST /limits": write(ForcedAnswer, ({ service }, answer) => {
    if (answer.of === "orders" && answer.status !== 429) throw new ControlFault("of: orders belongs to 429 alone")
    service.forced.add(answer, service.now())
    return service.forced.list(service.now())
  }),
  "GET /limits": read(({ service }) => service.forced.list(service.now())),
  "DELETE /limits": read(({ service }) => {
    service.forced.clear()
    return done
  }),

  "POST /ids": write(ClientIds, ({ service: { desk } }, rules) => {
    desk.exchange.clientIdRules = { ...desk.exchange.clientIdRules, ...rules }
    return desk.exchange.clientIdRules
  }),
  "GET /ids": read(({ service }) => service.desk.exchange.clientIdRules),
  "DELETE /ids": read(({ service }) => {
    service.desk.exchange.clientIdRules = defaultClientIdRules
    return done
  }),

  "POST /key": write(Schema.Struct({ revoked: Schema.Boolean }), ({ service: { keyring } }, { revoked }) => {
    keyring.isRevoked = revoked
    return { revoked }
  }),
  "GET /key": read(({ service }) => ({ revoked: service.keyring.isRevoked })),

  "POST /market": write(MarketMove, ({ service }, { price, symbol }) => {
    const { exchange } = service.desk
    const market = exchange.matching.market(symbol)
    if (market === undefined) throw new ControlFault(`symbol: there is no market ${symbol}`)
    service.outside(() => exchange.moveMarket(market, amount(price)))
    return done
  }),
  "POST /reset": read(({ service }) => {
    service.outside(() => service.desk.exchange.reset())
    return done
  }),
  "POST /crash": read(({ service }) => {
    if (!service.canCrash) throw cannotCrash()
    service.crash()
    return done
  }),

  "GET /ledger": read(
    ({ service }, query) => {
      const { ledger, matching } = service.desk.exchange
      const [clientOrderId, symbol, life] = [query.get("clientOrderId"), query.get("symbol"), query.get("life")]
      const orders = ledger
        .all(matching)
        .filter(
          (order) =>
            (clientOrderId === undefined ||
              order.clientOrderId === clientOrderId ||
              order.formerClientOrderIds.includes(clientOrderId)) &&
            (symbol === undefined || order.symbol === symbol) &&
            (life === undefined || String(order.life) === life)
        )
      return { life: ledger.life, orders }
    },
    "clientOrderId",
    "symbol",
    "life"
  ),
  "GET /conservation": read(({ service }) =>
    Object.fromEntries([...service.desk.exchange.matching.accounts.sums()].map(([asset, sum]) => [asset, format(sum)]))
  )
}

const cannotCrash = (): ControlFault =>
  new ControlFault("this simulator shares its process: only `simulate-exchange` can be made to crash")

export const answerOf = (control: Control, name: string, search: URLSearchParams, text: string): unknown => {
  const route = Object.hasOwn(routes, name) ? routes[name] : undefined
  if (route === undefined) {
    throw new ControlFault(`there is no ${name}; there are ${Object.keys(routes).join(", ")}`)
  }
  const query = new Map(search)
  for (const parameter of query.keys()) {
    if (!route.parameters.includes(parameter)) throw new ControlFault(`${name} has no parameter ${parameter}`)
  }
  if (!route.hasBody && text !== "" && text !== "{}") throw new ControlFault(`${name} takes no body`)
  return route.run(control, route.hasBody ? bodyOf(text) : undefined, query)
}

const bodyOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    throw new ControlFault(text === "" ? "the body is missing" : "the body is no JSON")
  }
}
