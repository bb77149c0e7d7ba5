/**
 * The traders of the soak: orders at a fixed rate whatever becomes of the earlier ones, each sent under the same id
 * until it is acknowledged, and cancels of those that rest, patiently too.
 *
 * Sides alternate per symbol, so that the account's funds last. Prices are the exchange's own, a second old at most
 * while it can be asked.
 */
import http from "node:http"
import { Chance } from "../exactlyOnce/trials.ts"
import { pause } from "../programs.ts"

export const symbols = ["BTCUSDT", "ETHUSDT", "BNBUSDT"] as const
type Symbol = (typeof symbols)[number]

/** About 13 USDT each; the exchange takes nothing below 5. */
const quantities: Readonly<Record<Symbol, string>> = { BTCUSDT: "0.0002", ETHUSDT: "0.004", BNBUSDT: "0.022" }

export const manners = ["market", "crossing", "immediate", "hopeless", "resting", "stop"] as const
export type Manner = (typeof manners)[number]

/** Of a hundred orders. Stops are few because the exchange allows five of an account's per symbol. */
const mix: Readonly<Record<Manner, number>> = {
  market: 48,
  crossing: 20,
  immediate: 10,
  hopeless: 5,
  resting: 15,
  stop: 2
}
/** One that should cross rests too when it comes late to a market that has moved. */
const mayRest: ReadonlySet<Manner> = new Set(["crossing", "resting", "stop"])
/** So many resting orders are left alone, to rest to the end. */
const staying = 12
const requestMillis = 15_000
/** Of all traders together: whoever finds none free waits, and its order is as old as it is. */
const connections = 256
/** Not now, or it did not arrive in time: on a machine that is starved, that is no news about the order. */
const later: ReadonlyArray<number> = [408, 503]
const longestCancelPause = 8_000
const priceMillis = 1_000
const tickMillis = 10

export interface Intent {
  readonly id: string
  readonly manner: Manner
  /** Nobody cancels it. */
  readonly stays: boolean
}

interface Book {
  readonly symbol: string
  readonly bidPrice: string
  readonly askPrice: string
}

export class Traffic {
  readonly acknowledged = new Map<string, Intent>()
  /** What no client should ever see: an answer that is neither an acknowledgement nor "later". */
  readonly surprises: Array<string> = []
  /** Why they were asked to try again, and how often. */
  readonly turnedAway = new Map<string, number>()
  readonly latencies: Array<number> = []
  readonly byManner = new Map<Manner, number>()
  sent = 0
  /** How late the latest order was against its moment: the open loop's own honesty. */
  latestMillis = 0
  /** Posts and cancels that wait for their answer or for their time. */
  waiting = 0
  greatestWaiting = 0
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: connections })
  readonly #api: string
  readonly #exchange: string
  readonly #chance: Chance
  readonly #prefix: string
  readonly #prices = new Map<Symbol, { readonly bid: number; readonly ask: number }>()
  #staying = 0
  #isOpen = true

  constructor(api: string, exchange: string, seed: number, prefix: string) {
    this.#api = api
    this.#exchange = exchange
    this.#chance = new Chance(seed)
    this.#prefix = prefix
  }

  /** So many orders at the rate; then only waits for answers are left. */
  async flow(rate: number, count: number): Promise<void> {
    await this.#look()
    const watching = this.#watch()
    const begun = Date.now()
    while (this.sent < count) {
      const due = Math.min(count, (Date.now() - begun) * (rate / 1_000))
      while (this.sent < due) {
        this.latestMillis = Math.max(this.latestMillis, Date.now() - begun - (this.sent * 1_000) / rate)
        this.#keep(this.#place())
      }
      await pause(tickMillis)
    }
    this.#isOpen = false
    await watching
  }

  #keep(work: Promise<void>): void {
    this.waiting += 1
    this.greatestWaiting = Math.max(this.greatestWaiting, this.waiting)
    work
      .catch((error: unknown) => this.surprises.push(String(error)))
      .finally(() => (this.waiting -= 1))
      .catch(() => {})
  }

  async #place(): Promise<void> {
    const number = this.sent++
    const symbol = symbols[number % symbols.length]!
    const side = Math.floor(number / symbols.length) % 2 === 0 ? "BUY" : "SELL"
    const manner = this.#manner()
    const stays = manner === "resting" && this.#staying < staying
    if (stays) this.#staying += 1
    const intent: Intent = { id: `${this.#prefix}-${number}`, manner, stays }
    this.byManner.set(manner, (this.byManner.get(manner) ?? 0) + 1)
    const cancelAfter = this.#chance.whole(2_000, longestCancelPause)
    const begun = Date.now()
    await this.#request("POST", "/api/v1/orders", [200, 202], {
      id: intent.id,
      symbol,
      side,
      quantity: quantities[symbol],
      ...this.#terms(manner, symbol, side)
    })
    this.latencies.push(Date.now() - begun)
    this.acknowledged.set(intent.id, intent)
    if (!mayRest.has(manner) || stays) return
    await pause(cancelAfter)
    // 409: it ended meanwhile.
    await this.#request("DELETE", `/api/v1/orders/${intent.id}`, [200, 202, 409])
  }

  #manner(): Manner {
    let drawn = this.#chance.whole(0, 99)
    for (const manner of manners) {
      drawn -= mix[manner]
      if (drawn < 0) return manner
    }
    return "market"
  }

  #terms(manner: Manner, symbol: Symbol, side: "BUY" | "SELL"): object {
    const { ask, bid } = this.#prices.get(symbol)!
    const touch = side === "BUY" ? ask : bid
    // Above 1 goes towards the market and through it, whichever side.
    const at = (share: number) => (touch * (side === "BUY" ? share : 2 - share)).toFixed(2)
    const away = this.#chance.whole(2, 20) / 1_000
    switch (manner) {
      case "market":
        return { type: "MARKET" }
      case "crossing":
        return { type: "LIMIT", price: at(1.004) }
      case "immediate":
        return { type: "LIMIT", price: at(1.0001), time_in_force: "IOC" }
      case "hopeless":
        return { type: "LIMIT", price: at(0.99), time_in_force: "IOC" }
      case "resting":
        return { type: "LIMIT", price: at(1 - away) }
      case "stop":
        // A stop waits on the far side: it buys when the price has risen so far, and sells when it has fallen.
        return { type: "STOP_LOSS_LIMIT", stop_price: at(1 + away / 2), price: at(1.004 + away / 2) }
    }
  }

  /** Until it is answered with one of these; anything but "later" is a surprise and ends it too. */
  async #request(method: string, path: string, good: ReadonlyArray<number>, body?: object): Promise<void> {
    const sent = body === undefined ? "" : JSON.stringify(body)
    for (let attempt = 0; ; attempt++) {
      try {
        const { status, text } = await this.#ask(method, path, sent)
        if (good.includes(status)) return
        if (!later.includes(status)) {
          this.surprises.push(`${method} ${path} ${sent}: ${status} ${text}`)
          return
        }
        const code = /"code":"(\w+)"/.exec(text)?.[1] ?? `${status}`
        this.turnedAway.set(code, (this.turnedAway.get(code) ?? 0) + 1)
      } catch {
        // Dead, stopped, or starting: the same request under the same id is always safe.
      }
      await pause(Math.min(100 * 2 ** attempt, 1_000))
    }
  }

  #ask(method: string, path: string, body: string): Promise<{ readonly status: number; readonly text: string }> {
    return new Promise((resolve, reject) => {
      const request = http.request(
        `${this.#api}${path}`,
        {
          method,
          agent: this.#agent,
          headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) }
        },
        (response) => {
          let text = ""
          response.setEncoding("utf8")
          response.on("data", (chunk: string) => (text += chunk))
          response.on("end", () => resolve({ status: response.statusCode ?? 0, text }))
          response.on("error", reject)
        }
      )
      request.on("error", reject)
      request.setTimeout(requestMillis, () => request.destroy(new Error("no answer")))
      request.end(body)
    })
  }

  async #watch(): Promise<void> {
    while (this.#isOpen) {
      await pause(priceMillis)
      await this.#look(1)
    }
  }

  async #look(attempts = 100): Promise<void> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      try {
        const response = await fetch(`${this.#exchange}/api/v3/ticker/bookTicker`, {
          signal: AbortSignal.timeout(priceMillis)
        })
        for (const { askPrice, bidPrice, symbol } of (await response.json()) as ReadonlyArray<Book>) {
          const known = symbols.find((one) => one === symbol)
          if (known !== undefined && Number(bidPrice) > 0 && Number(askPrice) > 0) {
            this.#prices.set(known, { bid: Number(bidPrice), ask: Number(askPrice) })
          }
        }
        return
      } catch {
        if (attempts > 1) await pause(100)
      }
    }
  }
}
