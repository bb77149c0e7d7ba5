/**
 * Replacements of one order by another, each by a trader (replacer.ts) that dies by kill -9 at one point of the way: by
 * itself, or once the exchange has done so much of it. One process then settles all that died at a point, from their
 * journals; what it holds to be true of both orders is judged by the ledger.
 */
import { createHmac } from "node:crypto"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createWriteStream } from "node:fs"
import { join } from "node:path"
import { keys, pause } from "../programs.ts"
import type { Plan, Told } from "./replacer.ts"
import { type LedgerEntry, type Stage, symbols } from "./Stage.ts"
import type { Chance } from "./trials.ts"

/** Of the simulator's margins: δ is 1,000 ms, and the exchange needs some of it to do what it does. */
const lateMillis = 850
const recvWindowMillis = 2_000
/** A trader that ends by itself has passed its point by; this bounds one that hangs, on a machine that is busy. */
const deathMillis = 90_000

interface Point {
  readonly words: string
  readonly dies?: NonNullable<Plan["dies"]>
  /** What the exchange does of it before the trader is killed. */
  readonly does?: (chance: Chance) => Readonly<Record<string, unknown>>
}

const done = (chance: Chance): unknown =>
  chance.one([
    "now",
    "never",
    { afterMillis: chance.whole(0, 1_500) },
    { afterDeadlineMillis: chance.whole(-500, lateMillis) }
  ])

export const points: ReadonlyArray<Point> = [
  { words: "before the attempt is written down", dies: "beforeJournal" },
  { words: "before the request leaves", dies: "afterJournal" },
  { words: "on the way", does: (chance) => ({ kind: "hangs", done: done(chance) }) },
  { words: "between the two halves", does: (chance) => ({ kind: "halved", placed: done(chance) }) },
  { words: "after both halves, before the answer", does: () => ({ kind: "answerLate", millis: 60_000 }) },
  { words: "after the answer, before it is written down", dies: "afterAnswer" }
]

/** The new order comes long after its cancel: whoever does not wait takes it for one that never came. */
export const lateSecondHalf: Point = {
  words: "between the two halves",
  does: () => ({ kind: "halved", placed: { afterMillis: 20_000 } })
}

export interface Dead {
  readonly point: Point
  readonly id: string
  readonly journal: string
  readonly plan: Plan
  readonly died: boolean
}

const quantities = { BTCUSDT: "0.002", ETHUSDT: "0.02", BNBUSDT: "0.1" } as const
/** More than the best levels of a book hold, and little of what the account has. */
const partlyQuote = 25_000
/** Of a price that is there, not soon, and beyond what the account has by its quantity. */
const manners = { crossing: 1.02, resting: 0.97, far: 0.85 } as const

const prices = async (stage: Stage, symbol: string): Promise<number> => {
  const response = await fetch(`${stage.exchangeUrl}/api/v3/ticker/bookTicker?symbol=${symbol}`)
  return Number(((await response.json()) as { readonly askPrice: string }).askPrice)
}

const place = async (stage: Stage, order: Readonly<Record<string, string>>): Promise<string> => {
  const query = new URLSearchParams({
    ...order,
    type: "LIMIT",
    timeInForce: "GTC",
    timestamp: `${Date.now()}`
  }).toString()
  const signature = createHmac("sha256", keys.apiSecret).update(query).digest("hex")
  const response = await fetch(`${stage.exchangeUrl}/api/v3/order?${query}&signature=${signature}`, {
    method: "POST",
    headers: { "X-MBX-APIKEY": keys.apiKey }
  })
  const text = await response.text()
  const id = /"orderId":(\d+)/.exec(text)?.[1]
  if (!response.ok || id === undefined) throw new Error(`the old order: ${response.status} ${text}`)
  return id
}

const trader = (stage: Stage, journals: ReadonlyArray<readonly [journal: string, plan: Plan]>, without = "") => {
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(NEXUS_|BINANCE_|DATABASE_URL|KAFKA_BROKERS|PROOF_)/.test(name))
  )
  const child = spawn(
    process.execPath,
    [
      join(import.meta.dirname, "replacer.ts"),
      stage.exchangeUrl,
      ...journals.flatMap(([journal, plan]) => [journal, JSON.stringify(plan)])
    ],
    {
      env: {
        ...inherited,
        BINANCE_TESTNET_API_KEY: keys.apiKey,
        BINANCE_TESTNET_API_SECRET: keys.apiSecret,
        PROOF_WITHOUT: without
      },
      stdio: ["ignore", "pipe", "pipe"]
    }
  )
  let out = ""
  child.stdout.on("data", (bytes: Buffer) => (out += bytes.toString()))
  child.stderr.pipe(createWriteStream(join(stage.folder, "trader.log"), { flags: "a" }))
  const closed = once(child, "close")
  return { child, ended: closed.then(() => out) }
}

/** One order is placed and replaced by another, by a trader that dies. */
export const replaceAndDie = async (stage: Stage, chance: Chance, point: Point, id: string): Promise<Dead> => {
  const symbol = chance.one(symbols)
  const quantity = quantities[symbol]
  const ask = await prices(stage, symbol)
  const priced = (factor: number): string => (ask * factor).toFixed(2)
  const [old, next] = [`old-${id}`, `next-${id}`]
  const manner = chance.one(["resting", "resting", "far", "crossing", "partly"] as const)
  const exchangeOrderId = await place(
    stage,
    manner === "partly"
      ? { symbol, side: "BUY", quantity: (partlyQuote / ask).toFixed(3), price: ask.toFixed(2), newClientOrderId: old }
      : { symbol, side: "BUY", quantity, price: priced(manners[manner]), newClientOrderId: old }
  )
  const wanted = chance.one(["crossing", "resting", "far", "too dear"] as const)
  const plan: Plan = {
    mode: chance.one(["STOP_ON_FAILURE", "ALLOW_FAILURE"] as const),
    cancelId: `cancel-${id}`,
    old: { symbol, clientOrderId: old, exchangeOrderId },
    next: {
      clientOrderId: next,
      side: "BUY",
      price: priced(wanted === "too dear" ? manners.resting : manners[wanted]),
      // Below the most that one order may be worth, and above what the account has.
      quantity: wanted === "too dear" ? (5_000_000 / ask).toFixed(3) : quantity
    },
    recvWindowMillis
  }
  const does = point.does?.(chance)
  if (does !== undefined) {
    await stage.control("POST", "/faults", { ...does, on: "POST /api/v3/order/cancelReplace", clientOrderId: next })
  }
  // Sometimes no read of a single order shows either of them, and the histories lag.
  if (chance.next() < 0.25) {
    for (const clientOrderId of [old, next]) {
      await stage.control("POST", "/reads", { orders: "forever", clientOrderId })
      await stage.control("POST", "/reads", { histories: chance.whole(1, lateMillis), clientOrderId })
    }
  }
  const journal = join(stage.folder, `replace-${id}.jsonl`)
  const { child, ended } = trader(stage, [[journal, point.dies === undefined ? plan : { ...plan, dies: point.dies }]])
  const end = Date.now() + deathMillis
  const isRunning = () => child.exitCode === null && child.signalCode === null
  while (isRunning() && Date.now() < end && !(does !== undefined && (await hasStruck(stage, next)))) await pause(10)
  const inTime = point.dies === undefined ? isRunning() && Date.now() < end : child.signalCode === "SIGKILL"
  child.kill("SIGKILL")
  await ended
  return { point, id, journal, plan, died: inTime && child.signalCode === "SIGKILL" }
}

const hasStruck = async (stage: Stage, next: string): Promise<boolean> => {
  const path = `/faults?clientOrderId=${next}`
  const { faults } = await stage.control<{ readonly faults: ReadonlyArray<{ readonly struck: number }> }>("GET", path)
  return faults.some(({ struck }) => struck > 0)
}

/** The next process, with their journals and nothing else. */
export const settleAll = async (
  stage: Stage,
  dead: ReadonlyArray<Dead>,
  without: "" | "wait" = ""
): Promise<ReadonlyArray<Told>> => {
  const { ended } = trader(
    stage,
    dead.map(({ journal, plan }) => [journal, plan]),
    without
  )
  const out = await ended
  if (out === "") throw new Error(`the trader did not settle what died ${dead[0]?.point.words}; see ${stage.folder}`)
  return JSON.parse(out) as ReadonlyArray<Told>
}

const isEnded = (status: string): boolean => !["NEW", "PARTIALLY_FILLED"].includes(status)

/** What contradicts the ledger in what the trader was told. A market that goes on may fill later what was open then. */
export const contradictionsOf = (
  { id, plan }: Dead,
  told: Told,
  entries: ReadonlyArray<LedgerEntry>
): ReadonlyArray<string> => {
  const of = (clientOrderId: string) => entries.filter((entry) => entry.clientOrderId === clientOrderId)
  const [olds, nexts] = [of(plan.old.clientOrderId), of(plan.next.clientOrderId)]
  const found: Array<string> = []
  if (olds.length !== 1) found.push(`${id}: the old order was accepted ${olds.length} times`)
  if (nexts.length > 1) found.push(`${id}: the new order was accepted ${nexts.length} times`)
  const differs = (half: Told["old"], entry: LedgerEntry | undefined): boolean =>
    entry === undefined ||
    (isEnded(half.status)
      ? half.status !== entry.status || Number(half.executed) !== Number(entry.executedQty)
      : entry.status === "CANCELED" || Number(half.executed) > Number(entry.executedQty))
  const oldIs = isEnded(told.old.status) ? "Ended" : "Stands"
  if (told.old.is !== oldIs || differs(told.old, olds[0])) {
    found.push(
      `${id}: the old order is ${told.old.is} ${told.old.status}, the ledger says ${olds[0]?.status ?? "nothing"}`
    )
  }
  const isTrue =
    told.next.is === "Placed" ? !differs(told.next, nexts[0]) : told.next.is === "NeverPlaced" && nexts.length === 0
  if (!isTrue) {
    found.push(
      `${id}: the new order is ${told.next.is} ${told.next.status}, the ledger says ${nexts[0]?.status ?? "nothing"}`
    )
  }
  return found
}
