/**
 * The exchange simulator as something that runs: opens its journal and its port, and closes both with its scope.
 *
 * Effect ends here. Behind this file a request is handled in one turn of the event loop.
 */
import { randomInt } from "node:crypto"
import http from "node:http"
import { Effect, type Scope } from "effect"
import { amount, format } from "./Amount.ts"
import { Clock } from "./Clock.ts"
import { openControlPort } from "./ControlPort.ts"
import type { Commissions } from "./Commission.ts"
import { Exchange } from "./Exchange.ts"
import type { Fault, Rate } from "./Faults.ts"
import { Journal, JournalFault } from "./Journal.ts"
import { KeyFault } from "./Keyring.ts"
import type { LedgerOrder } from "./Ledger.ts"
import { defaultBalances, type Limits, symbolsOf } from "./Market.ts"
import type { LimitTable } from "./RateLimits.ts"
import { makeRestServer } from "./Rest.ts"
import { Service, type ServiceOptions } from "./Service.ts"
import { SimulatorError } from "./SimulatorError.ts"
import { type ConnectionRules, WebSockets } from "./WebSockets.ts"

export interface SimulatorOptions {
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
  readonly seed: number
  /** Folder of the journal; without one nothing outlives the process. */
  readonly journal?: string
  readonly latencyMs: number
  readonly limits: Limits
  /** Other numbers than the exchange's own; enforced when `limits` is real. */
  readonly limitTable?: Partial<LimitTable>
  readonly apiKey: string
  readonly apiSecret: string
  /** Public keys in PEM form that are registered under the same API key: RSA or Ed25519. */
  readonly publicKeys?: ReadonlyArray<string>
  /** Other times for pings and for the life of a connection than the exchange's own. */
  readonly connectionRules?: Partial<ConnectionRules>
  /** What the account begins with, by asset, as decimals. */
  readonly balances?: Readonly<Record<string, string>>
  /** What the account's trades cost; 0.1 % of what is received when absent. */
  readonly commissions?: Commissions
  /** How often the market moves; 0: only when it is told to. */
  readonly tickMs: number
  /** The account's number at a first start; drawn when absent. */
  readonly uid?: number
  /** A port of 127.0.0.1 for faults and the ledger, 0: any that is free; without one there is none. */
  readonly controlPort?: number
  /** The process is the simulator's alone, and may be killed by a fault. */
  readonly ownsProcess?: boolean
}

/** Things that go wrong, at a test's word. */
export interface SimulatorFaults {
  /** Strikes the next request of its kind, once. */
  readonly next: (fault: Fault) => void
  /** Replaces the rates at which faults are drawn from the seed. */
  readonly rates: (rates: ReadonlyArray<Rate>) => void
  /** No further faults, fresh reads. */
  readonly clear: () => void
  /** Single faults that have not struck yet. */
  readonly waiting: () => number
  /** Reads of orders and trades lag so far behind; 0 ends it. */
  readonly staleReads: (millis: number) => void
  /** The open WebSocket connections die without a word. */
  readonly silenceStreams: () => void
  /** The open WebSocket connections are closed, with `serverShutdown` before it or without. */
  readonly closeStreams: (withNotice: boolean) => void
  /** `serverShutdown` on the open WebSocket connections, which stay open for now. */
  readonly announceShutdown: () => void
  /** The API key is known no more, or again. */
  readonly revokeKey: (isRevoked: boolean) => void
  /** Forgets all orders and refills the balances, as the testnet does about monthly. */
  readonly reset: () => void
}

export interface RunningSimulator {
  /** Base URL, without a path. */
  readonly url: string
  readonly wsApiUrl: string
  readonly port: number
  readonly accountUid: number
  /** Of the control port, if one was asked for. */
  readonly controlUrl: string | undefined
  readonly faults: SimulatorFaults
  /** Every order that was ever accepted, also before a reset; oldest first per symbol. */
  readonly ledger: () => ReadonlyArray<LedgerOrder>
  /** The sum of each asset over all accounts. */
  readonly conservation: () => Readonly<Record<string, string>>
  /** Brings the price there and trades whatever of the account stands in the way. */
  readonly moveMarket: (symbol: string, price: string) => void
  /** One step of the market, as the clock would make it. */
  readonly tick: () => void
  /** How far the exchange's clock is ahead of the host's. */
  readonly setClockOffset: (millis: number) => void
}

const lowestUid = 1_000_000
const highestUid = 1_000_000_000

export const makeSimulator = (
  options: SimulatorOptions
): Effect.Effect<RunningSimulator, SimulatorError, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = new Clock()
    const now = (): number => clock.now()
    const exchange = new Exchange({
      symbols: symbolsOf(options.limits),
      seed: options.seed,
      clock: now,
      balances: options.balances ?? defaultBalances,
      commissions: options.commissions
    })
    const journal = options.journal === undefined ? undefined : yield* openJournal(options.journal)
    const accountUid = yield* load(exchange, journal, options.uid)
    const service = yield* makeService({
      exchange,
      now,
      accountUid,
      credentials: options,
      limits: options.limits,
      limitTable: options.limitTable,
      latencyMillis: options.latencyMs,
      seed: options.seed,
      journal,
      kill: options.ownsProcess === true ? () => process.kill(process.pid, "SIGKILL") : undefined
    })
    service.outside(() => exchange.open())
    const webSockets = new WebSockets(service, options.connectionRules)
    const port = yield* listen(service, webSockets, options)
    const control = { service, webSockets, clock }
    const controlUrl =
      options.controlPort === undefined ? undefined : yield* openControlPort(control, options.controlPort)
    if (options.tickMs > 0) service.timers.every(options.tickMs, () => service.outside(() => exchange.tick()))

    const host = options.host.includes(":") ? `[${options.host}]` : options.host
    return {
      url: `http://${host}:${port}`,
      wsApiUrl: `ws://${host}:${port}/ws-api/v3`,
      port,
      accountUid,
      controlUrl,
      faults: {
        next: (fault) => service.faults.next(fault),
        rates: (rates) => service.faults.rates(rates),
        clear: () => {
          service.faults.clear()
          exchange.staleReads(undefined)
        },
        waiting: () => service.faults.waiting,
        staleReads: (millis) => {
          for (const reads of ["orders", "histories"] as const) {
            exchange.staleReads({ reads, clientOrderId: undefined, millis })
          }
        },
        silenceStreams: () => webSockets.silence(),
        closeStreams: (withNotice) => webSockets.end(withNotice),
        announceShutdown: () => webSockets.announceShutdown(),
        revokeKey: (isRevoked) => {
          service.keyring.isRevoked = isRevoked
        },
        reset: () => service.outside(() => exchange.reset())
      },
      ledger: () => exchange.ledger.all(exchange.matching),
      conservation: () =>
        Object.fromEntries([...exchange.matching.accounts.sums()].map(([asset, sum]) => [asset, format(sum)])),
      moveMarket: (symbol, price) => {
        const market = exchange.matching.market(symbol)
        if (market === undefined) throw new RangeError(`the simulator has no market ${symbol}`)
        service.outside(() => exchange.moveMarket(market, amount(price)))
      },
      tick: () => service.outside(() => exchange.tick()),
      setClockOffset: (millis) => clock.set(millis)
    }
  })

const makeService = (options: ServiceOptions): Effect.Effect<Service, SimulatorError> =>
  Effect.try({
    try: () => new Service(options),
    catch: (cause) =>
      new SimulatorError({
        problem: `A public key of the simulator's account ${cause instanceof KeyFault ? cause.message : String(cause)}.`
      })
  })

const openJournal = (folder: string): Effect.Effect<Journal, SimulatorError, Scope.Scope> =>
  Effect.acquireRelease(Effect.try({ try: () => Journal.open(folder), catch: problemOf }), (journal) =>
    Effect.sync(() => journal.close())
  )

/** The state of an earlier life, or a first one; gives the account's number. */
const load = (
  exchange: Exchange,
  journal: Journal | undefined,
  wantedUid: number | undefined
): Effect.Effect<number, SimulatorError> =>
  Effect.try({
    try: () => {
      const known = journal?.read((entry) => exchange.load(entry))
      if (known === undefined) exchange.fund()
      const uid = known ?? wantedUid ?? randomInt(lowestUid, highestUid)
      if (journal === undefined) return uid
      journal.begin(uid, exchange.snapshot())
      exchange.journalTo((entry) => journal.append(entry))
      return uid
    },
    catch: problemOf
  })

const problemOf = (cause: unknown): SimulatorError =>
  new SimulatorError({
    problem:
      cause instanceof JournalFault
        ? cause.message
        : `The simulator's journal cannot be used: ${cause instanceof Error ? cause.message : String(cause)}.`
  })

const listen = (
  service: Service,
  webSockets: WebSockets,
  { host, port }: SimulatorOptions
): Effect.Effect<number, SimulatorError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<http.Server, SimulatorError>((resume) => {
      const server = makeRestServer(service)
      server.on("upgrade", (req, socket, head) => webSockets.upgrade(req, socket, head))
      server.once("error", (error: NodeJS.ErrnoException) => {
        resume(Effect.fail(new SimulatorError({ problem: listenProblem(host, port, error) })))
      })
      server.listen(port, host, () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        service.timers.close()
        webSockets.close()
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  ).pipe(
    Effect.map((server) => {
      const address = server.address()
      return typeof address === "object" && address !== null ? address.port : port
    })
  )

const listenProblem = (host: string, port: number, error: NodeJS.ErrnoException): string => {
  if (error.code === "EADDRINUSE") {
    return `Port ${port} on ${host} is in use: stop what listens there or give the simulator another port.`
  }
  return `The simulator cannot listen on ${host}:${port} (${error.code ?? error.message}): give another address.`
}
