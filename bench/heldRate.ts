/**
 * The highest rate of orders that a deployment holds: everything is taken in on schedule, and the orders that are on
 * their way do not become more and more. Open loop: orders are due at fixed moments.
 */
import { pause } from "../tools/proofs/programs.ts"
import { runLoad } from "./child.ts"
import type { Load } from "./load.ts"

const connections = 64
// Upward in these steps until a probe fails, then between the last that held and the first that did not.
const coarseStep = 1.5
const fineShare = 0.05
const maxProbes = 16
// A confirmation that fails is tried again a little lower.
const confirmations = 4
const lower = 0.93
/** Work that is on its way when all is well: what comes in within this. */
export const backlogSeconds = 0.5
const sampleMillis = 500
const settleMillis = 60_000

export interface Held {
  readonly held: boolean
  /** Orders per second. */
  readonly rate: number
  readonly backlogFirst: number
  readonly backlogLast: number
  readonly completed: number
}

export interface Meter {
  /** Orders at a rate, alternating MARKET BUY and SELL of 0.001 BTC. */
  readonly runAt: (rate: number, seconds: number, warmUpSeconds: number) => Promise<Load>
  /** Waits until every order has ended. */
  readonly settled: () => Promise<void>
  readonly highest: (plan: {
    readonly from: number
    readonly probeSeconds: number
    readonly confirmSeconds: number
  }) => Promise<Held>
}

// One buys what the other sells, so that the account ends where it began, but for fees and spread.
const orders = ["BUY", "SELL"].map((side) => `"symbol":"BTCUSDT","side":"${side}","type":"MARKET","quantity":0.001`)

const mean = (all: ReadonlyArray<number>): number => all.reduce((sum, each) => sum + each, 0) / Math.max(1, all.length)

/** `name` begins the ids of its orders, so that two meters on one store do not meet. */
export const meterOf = (port: number, name: string): Meter => {
  let runs = 0

  const metric = async (metricName: string): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    return Number(new RegExp(`^${metricName} (\\d+)`, "m").exec(text)?.[1] ?? Number.NaN)
  }
  const processing = () => metric("orders_processing")

  const runAt = (rate: number, seconds: number, warmUpSeconds: number) =>
    runLoad({ port, connections, rate, warmUpSeconds, seconds, ids: `${name}${++runs}`, orders })

  const settled = async (): Promise<void> => {
    const end = Date.now() + settleMillis
    while ((await processing()) > 0) {
      if (Date.now() > end) throw new Error(`${await processing()} orders do not end`)
      await pause(sampleMillis)
    }
  }

  /** Held: all was taken in on schedule, and the backlog of the last third is as small as that of the first. */
  const holds = async (rate: number, seconds: number): Promise<Held> => {
    await settled()
    const before = await metric("orders_completed")
    const samples: Array<number> = []
    let over = false
    const sampling = (async () => {
      while (!over) {
        samples.push(await processing())
        await pause(sampleMillis)
      }
    })()
    const load = await runAt(rate, seconds, 1)
    const last = await processing()
    over = true
    await sampling
    const third = Math.max(1, Math.floor(samples.length / 3))
    const backlogFirst = mean(samples.slice(0, third))
    const backlogLast = mean([...samples.slice(-third), last])
    await settled()
    const completed = (await metric("orders_completed")) - before
    const clean = Object.keys(load.faults).length === 0
    // Intake is in time when it is not itself a queue that grows.
    const held = clean && backlogLast <= backlogFirst + rate * backlogSeconds && load.p99 < 1000 * backlogSeconds
    process.stderr.write(
      `${rate.toFixed(0)}/s for ${seconds} s: backlog ${backlogFirst.toFixed(0)} → ${backlogLast.toFixed(0)}, ` +
        `202 p99 ${load.p99.toFixed(1)} ms${clean ? "" : `, ${JSON.stringify(load.faults)}`} ${held ? "held" : "NOT held"}\n`
    )
    return { held, rate, backlogFirst, backlogLast, completed }
  }

  const highest: Meter["highest"] = async ({ confirmSeconds, from, probeSeconds }) => {
    let low = 0
    let high = Number.POSITIVE_INFINITY
    let rate = from
    for (let probe = 0; probe < maxProbes; probe++) {
      // A stall of the machine must not pass for the limit, so only a second failure counts.
      if ((await holds(rate, probeSeconds)).held || (await holds(rate, probeSeconds)).held) low = rate
      else high = rate
      if (high <= low * (1 + fineShare) || high < 10) break
      rate = high === Number.POSITIVE_INFINITY ? low * coarseStep : low === 0 ? high / coarseStep : (low + high) / 2
    }
    let confirmed = await holds(Math.floor(low), confirmSeconds)
    for (let attempt = 1; !confirmed.held && attempt < confirmations; attempt++) {
      confirmed = await holds(Math.floor(confirmed.rate * lower), confirmSeconds)
    }
    return confirmed
  }

  return { runAt, settled, highest }
}
