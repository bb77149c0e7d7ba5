/**
 * The clients: so many at a time, each placing one order after the other and asking again under the same id until it is
 * answered. After a restore each of them sends everything again that it has ever sent, answered or not.
 */
import http from "node:http"
import { pause } from "../programs.ts"

export const symbols = ["BTCUSDT", "ETHUSDT", "BNBUSDT"] as const
/** About 13 USDT each. */
const quantities = ["0.0002", "0.004", "0.022"] as const

export interface Sent {
  readonly id: string
  readonly body: string
  answered: boolean
}

export interface Answer {
  readonly status: number
  readonly text: string
}

const requestMillis = 15_000
const retryMillis = 200
/** Not now, or it did not arrive in time: on a machine that is starved, that is no news about the order. */
const later: ReadonlyArray<number> = [408, 503]

export class Clients {
  readonly sent: Array<Sent> = []
  /** What no client should ever see. */
  readonly surprises: Array<string> = []
  readonly #agent: http.Agent
  readonly #api: string
  readonly #count: number
  #prices: ReadonlyArray<number> = []
  #isOpen = false
  #working: Promise<unknown> = Promise.resolve()

  constructor(api: string, count: number) {
    this.#api = api
    this.#count = count
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: count })
  }

  /** Places orders until `close`. `pauseMillis` lies between two orders of one client. */
  open(name: string, prices: ReadonlyArray<number>, pauseMillis: number): void {
    this.#prices = prices
    this.#isOpen = true
    this.#working = Promise.all(
      Array.from({ length: this.#count }, async (_, client) => {
        for (let n = 0; this.#isOpen; n++) {
          const one: Sent = { id: `${name}-${client}-${n}`, body: "", answered: false }
          const whole = { ...one, body: JSON.stringify({ id: one.id, ...this.#terms(client + n) }) }
          this.sent.push(whole)
          await this.#persist(whole, () => this.#isOpen)
          await pause(pauseMillis)
        }
      })
    )
  }

  /** No new order, and no waiting for the answers that are out. */
  async close(): Promise<void> {
    this.#isOpen = false
    await this.#working
  }

  /** Everything again, by all clients at once, until it is answered. How many were new orders. */
  async repeatAll(): Promise<{ readonly again: number; readonly fresh: number }> {
    const waiting = [...this.sent]
    let [again, fresh] = [0, 0]
    await Promise.all(
      Array.from({ length: this.#count }, async () => {
        for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
          const status = await this.#persist(one, () => true)
          if (status === 200) again += 1
          if (status === 202) fresh += 1
        }
      })
    )
    return { again, fresh }
  }

  async view(id: string): Promise<Answer> {
    for (;;) {
      try {
        const answer = await this.#ask("GET", `/api/v1/orders/${id}`, "")
        if (!later.includes(answer.status)) return answer
      } catch {
        // Asked again.
      }
      await pause(retryMillis)
    }
  }

  async #persist(one: Sent, isWanted: () => boolean): Promise<number> {
    while (isWanted()) {
      try {
        const { status, text } = await this.#ask("POST", "/api/v1/orders", one.body)
        if (status === 200 || status === 202) {
          one.answered = true
          return status
        }
        if (!later.includes(status)) {
          this.surprises.push(`${one.body}: ${status} ${text}`)
          return status
        }
      } catch {
        // Dead or starting: the same request under the same id is always safe.
      }
      await pause(retryMillis)
    }
    return 0
  }

  #terms(turn: number): object {
    const which = turn % symbols.length
    const side = Math.floor(turn / symbols.length) % 2 === 0 ? "BUY" : "SELL"
    const order = { symbol: symbols[which]!, side, quantity: quantities[which]! }
    // One in five rests in the book, a quarter away from the market.
    if (turn % 5 !== 4) return { ...order, type: "MARKET" }
    const price = (this.#prices[which]! * (side === "BUY" ? 0.8 : 1.2)).toFixed(2)
    return { ...order, type: "LIMIT", price }
  }

  #ask(method: string, path: string, body: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) }
      const request = http.request(`${this.#api}${path}`, { method, agent: this.#agent, headers }, (response) => {
        let text = ""
        response.setEncoding("utf8")
        response.on("data", (chunk: string) => (text += chunk))
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }))
        response.on("error", reject)
      })
      request.on("error", reject)
      request.setTimeout(requestMillis, () => request.destroy(new Error("no answer")))
      request.end(body)
    })
  }
}
