/**
 * One running exchange behind its sockets: clock, limits, faults, journal and the latency of the way there and back.
 *
 * Whatever a request does is written before its answer or any news of it leaves; `settled` is that point.
 */
import type { Desk, Endpoint, Run, Twist } from "./Endpoint.ts"
import { EventFaults } from "./EventFaults.ts"
import type { Exchange } from "./Exchange.ts"
import type { Strike } from "./Faults.ts"
import { FaultTable } from "./FaultTable.ts"
import { ForcedAnswers } from "./ForcedAnswers.ts"
import { type Admitted, type Arrival, admit } from "./Gate.ts"
import type { Journal } from "./Journal.ts"
import { type Credentials, Keyring } from "./Keyring.ts"
import type { Limits } from "./Market.ts"
import { News } from "./News.ts"
import { type LimitTable, RateLimits } from "./RateLimits.ts"
import { isRefusal, type Refusal, shuttingDown, tooOld } from "./Refusal.ts"
import { Timers } from "./Timers.ts"

export interface ServiceOptions {
  readonly exchange: Exchange
  readonly now: () => number
  readonly accountUid: number
  readonly credentials: Credentials
  readonly limits: Limits
  readonly limitTable?: Partial<LimitTable> | undefined
  readonly latencyMillis: number
  readonly seed: number
  readonly journal: Journal | undefined
  /** Kills the process that the exchange has to itself; undefined where it shares one. */
  readonly kill?: (() => void) | undefined
}

const straight: Twist = { fillsFirst: undefined }

export class Service {
  readonly desk: Desk
  readonly limits: RateLimits
  readonly faults: FaultTable
  readonly news: News
  readonly eventFaults: EventFaults
  readonly forced = new ForcedAnswers()
  readonly timers = new Timers()
  readonly keyring: Keyring
  /** Half of the latency lies before the exchange, half after it. */
  readonly #wayThere: number
  readonly #wayBack: number
  readonly #journal: Journal | undefined
  readonly #kill: (() => void) | undefined

  constructor(options: ServiceOptions) {
    const { exchange, now } = options
    this.limits = new RateLimits(options.limits, options.limitTable)
    this.faults = new FaultTable(options.seed)
    this.keyring = new Keyring(options.credentials)
    this.#journal = options.journal
    this.#kill = options.kill
    this.#wayThere = Math.ceil(options.latencyMillis / 2)
    this.#wayBack = options.latencyMillis - this.#wayThere
    this.desk = { exchange, limits: this.limits, accountUid: options.accountUid, now }
    this.eventFaults = new EventFaults(options.seed, this.timers)
    this.news = new News(now, this.eventFaults, exchange.matching.markets)
    exchange.listen({
      executed: (order, execution) => {
        if (execution.trade !== undefined && order.trades.length === 1) {
          this.limits.firstFill(execution.trade.isMaker, now())
        }
        this.news.executed(order, execution)
      },
      positions: (balances, time) => this.news.positions(balances, time),
      traded: (market, trade) => this.news.markets.traded(market, trade),
      quoted: (market) => this.news.markets.quoted(market),
      counted: (orders) => {
        for (let n = 0; n < orders; n++) this.limits.addOrder(now())
      },
      listed: (list, market, type) => this.news.listed(list, market, type)
    })
  }

  now(): number {
    return this.desk.now()
  }

  /** A refusal of the whole address, or the request ready to be done. */
  admit(endpoint: Endpoint, arrival: Arrival, address: string): Run | Refusal {
    const admitted = this.admitConnected(endpoint, arrival, address)
    if (isRefusal(admitted)) return admitted
    const isCounted = endpoint.isOrder === true && endpoint.judgesOrderCount !== true
    return (isCounted ? this.limits.admitOrder(this.now(), endpoint.orders) : undefined) ?? admitted.run
  }

  /** The same for what concerns the connection itself, where it matters which key asks. */
  admitConnected(endpoint: Endpoint, arrival: Arrival, address: string): Admitted | Refusal {
    const now = this.now()
    if (this.#journal?.broken !== undefined) return shuttingDown
    return (
      this.limits.admit(address, endpoint.weight(arrival.values), now) ?? admit(endpoint, arrival, this.keyring, now)
    )
  }

  /** Does what was admitted; the value or the refusal is not to be told before `settled`. */
  perform(run: Run, twist: Twist = straight): unknown {
    return run(this.desk, twist)
  }

  /** After the answer is known: what the request cost. */
  charge(endpoint: Endpoint, values: ReadonlyMap<string, string>, address: string, isRefused: boolean): void {
    const weight = endpoint.isFreeOnSuccess === true && !isRefused ? 0 : endpoint.weight(values)
    this.limits.addWeight(address, weight, this.now())
  }

  /** A request that grew too old inside the exchange counts as an order all the same. */
  chargeLate(endpoint: Endpoint, refusal: Refusal): void {
    if (endpoint.isOrder !== true || refusal.code !== tooOld.code) return
    for (let n = 0; n < (endpoint.orders ?? 1); n++) this.limits.addOrder(this.now())
  }

  /** The fault that strikes this request, known by its name over REST or over the WebSocket API. */
  strikeOf(name: string, values: ReadonlyMap<string, string>): Strike | undefined {
    const forced = this.forced.of(name, this.now())
    if (forced !== undefined) return forced
    return this.faults.isQuiet ? undefined : this.faults.take(name, idsOf(this.desk.exchange, values))
  }

  crash(): void {
    this.#kill?.()
  }

  get canCrash(): boolean {
    return this.#kill !== undefined
  }

  /** Something outside a request changes the exchange: a tick, a move of the market, a reset. */
  outside(change: () => void): void {
    change()
    this.settled(() => {})
  }

  /** Runs `then`, and tells the news, when all so far is written and the way back is done. */
  settled(then: () => void): void {
    const news = this.news.take()
    const tell = (): void => {
      this.news.deliver(news)
      then()
    }
    const back = this.#wayBack === 0 ? tell : () => this.timers.after(this.#wayBack, tell)
    if (this.#journal === undefined) back()
    else this.#journal.afterWritten(back)
  }

  arrives(then: () => void): void {
    if (this.#wayThere === 0) then()
    else this.timers.after(this.#wayThere, then)
  }
}

const idParameters = ["newClientOrderId", "origClientOrderId", "cancelOrigClientOrderId", "listClientOrderId"]
const orderIdParameters = ["orderId", "cancelOrderId"]

/** The client order ids that a request names, also where it names the order by the exchange's id. */
const idsOf = (exchange: Exchange, values: ReadonlyMap<string, string>): ReadonlyArray<string> => {
  const ids = idParameters.map((name) => values.get(name)).filter((id) => id !== undefined)
  const market = exchange.matching.market(values.get("symbol") ?? "")
  for (const name of orderIdParameters) {
    const order = market?.orders.byId(Number(values.get(name)))
    if (order !== undefined) ids.push(order.clientOrderId)
  }
  return ids
}
