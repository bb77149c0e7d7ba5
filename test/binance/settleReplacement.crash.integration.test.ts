/**
 * A trader that replaces an order dies by kill -9 at each point of the way, and the next one settles both orders from
 * its journal; the exchange's own ledger is the judge. The exchange is the simulator, over its sockets.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { FaultKind } from "../../src/simulator/Faults.ts"
import type { Plan, Told } from "../../tools/proofs/exactlyOnce/replacer.ts"
import { credentials, limit, signed } from "../simulator/client.ts"
import { controlled, place } from "../simulator/control.ts"
import { folder } from "../simulator/spawned.ts"

const cancelReplace = "POST /api/v3/order/cancelReplace"
const program = path.join(import.meta.dirname, "../../tools/proofs/exactlyOnce/replacer.ts")
const keys = { BINANCE_TESTNET_API_KEY: credentials.apiKey, BINANCE_TESTNET_API_SECRET: credentials.apiSecret }
const recvWindowMillis = 2_000

interface Case {
  readonly dies: string
  readonly mode?: Plan["mode"]
  /** Where the trader dies by itself; else it is killed once the exchange has done this much. */
  readonly at?: NonNullable<Plan["dies"]>
  readonly exchange?: FaultKind
  readonly symbol?: "ETHUSDT"
  readonly old?: "resting" | "filled" | "filled in part"
  readonly next?: "resting" | "too dear"
  /** No read of a single order and no list of open ones ever shows them: only the histories do. */
  readonly blind?: true
  readonly truth: readonly [old: string, next: string]
}

const allow = { mode: "ALLOW_FAILURE" } as const
const replaced = ["Ended CANCELED", "Placed NEW"] as const
const untouched = ["Stands NEW", "NeverPlaced"] as const
const onlyCancelled = ["Ended CANCELED", "NeverPlaced"] as const
/** Both halves are done, and the answer is on its way for longer than the trader lives. */
const answersLate = { kind: "answerLate", millis: 60_000 } as const
const between = (
  placed: "now" | "never" | { readonly afterMillis: number } | { readonly afterDeadlineMillis: number }
) => ({ kind: "halved", placed }) as const

const cases: ReadonlyArray<Case> = [
  { dies: "before the attempt is written down", at: "beforeJournal", truth: replaced },
  { dies: "before the request leaves", at: "afterJournal", truth: untouched },
  { dies: "on the way, and the exchange never does it", exchange: { kind: "hangs", done: "never" }, truth: untouched },
  {
    dies: "on the way, and the exchange does it at the last moment",
    exchange: { kind: "hangs", done: { afterDeadlineMillis: 500 } },
    truth: replaced
  },
  { dies: "after the cancel, and the order is never placed", exchange: between("never"), truth: onlyCancelled },
  {
    dies: "after the cancel, and the order is placed a moment later",
    exchange: between({ afterMillis: 500 }),
    truth: replaced
  },
  {
    dies: "after the cancel, and the order is placed at the last moment",
    ...allow,
    exchange: between({ afterDeadlineMillis: 500 }),
    truth: replaced
  },
  {
    dies: "after the cancel of what was filled in part, and the order is never placed",
    old: "filled in part",
    exchange: between("never"),
    truth: onlyCancelled
  },
  {
    dies: "after a cancel that failed stopped the whole",
    old: "filled",
    exchange: between("now"),
    truth: ["Ended FILLED", "NeverPlaced"]
  },
  {
    dies: "after a cancel that failed, and the order is placed all the same",
    ...allow,
    old: "filled",
    exchange: between({ afterMillis: 300 }),
    truth: ["Ended FILLED", "Placed NEW"]
  },
  { dies: "after the cancel, and the order is refused", next: "too dear", exchange: answersLate, truth: onlyCancelled },
  {
    dies: "after the cancel, and the order that is tried anyway is refused",
    ...allow,
    next: "too dear",
    exchange: answersLate,
    truth: onlyCancelled
  },
  { dies: "after both halves, before the answer", exchange: answersLate, truth: replaced },
  {
    dies: "after both halves, and only the histories show them",
    blind: true,
    exchange: answersLate,
    truth: replaced
  },
  {
    dies: "before the request leaves, and only the history shows what stands",
    blind: true,
    at: "afterJournal",
    truth: untouched
  },
  {
    dies: "after the exchange filled the old order just before its cancel",
    // A fill so far from the market takes all else that rests between.
    symbol: "ETHUSDT",
    exchange: { kind: "filledFirst" },
    at: "afterAnswer",
    truth: ["Ended FILLED", "NeverPlaced"]
  },
  { dies: "with the answer in hand", at: "afterAnswer", truth: replaced }
]

const started = (exchange: string, ...journals: ReadonlyArray<readonly [journal: string, plan: Plan]>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(
        process.execPath,
        [program, exchange, ...journals.flatMap(([journal, plan]) => [journal, JSON.stringify(plan)])],
        {
          env: { ...process.env, ...keys },
          stdio: ["ignore", "pipe", "pipe"]
        }
      )
      let out = ""
      let complaints = ""
      child.stdout.on("data", (bytes: Buffer) => (out += bytes.toString()))
      child.stderr.on("data", (bytes: Buffer) => (complaints += bytes.toString()))
      const closed = once(child, "close")
      return {
        isRunning: () => child.exitCode === null,
        kill: Effect.sync(() => void child.kill("SIGKILL")),
        ended: Effect.promise(async () => {
          await closed
          return { out, complaints, signal: child.signalCode }
        })
      }
    }),
    ({ ended, kill }) => Effect.andThen(kill, ended)
  )

describe("a trader that replaces an order", () => {
  it.live(
    "and dies on the way knows the truth of both orders after its restart, wherever it died",
    () =>
      Effect.gen(function* () {
        const { arm, control, ledger, simulator } = yield* controlled()
        const home = yield* folder
        const exchange = `http://127.0.0.1:${simulator.port}`

        const trial = Effect.fnUntraced(function* (one: Case, n: number) {
          const [old, next] = [`old-${n}`, `next-${n}`]
          const { symbol = "BTCUSDT" } = one
          const placed = yield* signed(simulator, place, { ...oldOrder(symbol, one.old, old), symbol })
          assert.strictEqual(placed.status, 200, placed.text)
          const plan: Plan = {
            mode: one.mode ?? "STOP_ON_FAILURE",
            cancelId: `cancel-${n}`,
            old: { symbol, clientOrderId: old, exchangeOrderId: `${placed.json.orderId}` },
            next: {
              clientOrderId: next,
              side: "BUY",
              price: resting[symbol].next,
              quantity: one.next === "too dear" ? "100" : "0.01"
            },
            recvWindowMillis
          }
          if (one.exchange !== undefined) yield* arm({ ...one.exchange, on: cancelReplace, clientOrderId: next })
          if (one.blind === true) {
            for (const clientOrderId of [old, next]) yield* control("POST /reads", { orders: "forever", clientOrderId })
          }
          const journal = path.join(home, `${n}.jsonl`)

          const trader = yield* started(exchange, [journal, one.at === undefined ? plan : { ...plan, dies: one.at }])
          if (one.at === undefined) {
            const faults = control(`GET /faults?clientOrderId=${next}`)
            while (trader.isRunning() && (yield* faults).faults[0].struck === 0) yield* Effect.sleep(10)
            yield* trader.kill
          }
          const { complaints, signal } = yield* trader.ended
          assert.strictEqual(signal, "SIGKILL", `${one.dies}: ${complaints}`)
          return { one, old, next, journal, plan }
        })
        const dead = yield* Effect.forEach(cases, trial, { concurrency: "unbounded" })

        const journals = dead.map(({ journal, plan }) => [journal, plan] as const)
        const { complaints, out } = yield* Effect.flatMap(started(exchange, ...journals), ({ ended }) => ended)

        assert.notStrictEqual(out, "", complaints)
        const outcomes = JSON.parse(out) as ReadonlyArray<Told>
        const told = dead.map((one, n) => ({ ...one, told: outcomes[n]! }))
        const entries = yield* ledger
        const seen = told.map(({ next, old, one, told }) => ({
          dies: one.dies,
          truth: [`${told.old.is} ${told.old.status}`, `${told.next.is} ${told.next.status}`.trim()],
          ledger: [old, next].map((id) =>
            entries
              .filter(({ clientOrderId }) => clientOrderId === id)
              .map(({ executedQty, status }) => `${status} ${Number(executedQty)}`)
          )
        }))
        assert.deepStrictEqual(
          seen,
          told.map(({ one: { dies, truth }, told }) => ({
            dies,
            truth: [...truth],
            ledger: [
              [`${told.old.status} ${Number(told.old.executed)}`],
              told.next.is === "Placed" ? [`${told.next.status} ${Number(told.next.executed)}`] : []
            ]
          }))
        )
        const inPart = told.find(({ one }) => one.old === "filled in part")!.told.old.executed
        assert.isTrue(Number(inPart) > 0 && Number(inPart) < partly, inPart)
      }),
    // A process for each death, on a machine that may be busy with others.
    180_000
  )
})

/** More than the book holds up to that price. */
const partly = 1

/** Far below the market. */
const resting = { BTCUSDT: { old: "50000", next: "51000" }, ETHUSDT: { old: "2000", next: "2100" } } as const

const oldOrder = (symbol: keyof typeof resting, how: Case["old"], newClientOrderId: string) => {
  if (how === "filled") return limit("66000", "0.01", { newClientOrderId })
  if (how === "filled in part") return limit("65005", `${partly}`, { newClientOrderId })
  return limit(resting[symbol].old, "0.01", { newClientOrderId })
}
