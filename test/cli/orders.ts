/** A trader's view of a running program: orders over its HTTP API. */
import { setTimeout as pause } from "node:timers/promises"

export interface Order {
  readonly id: string
  readonly status: string
  readonly client_order_id: string
  readonly filled_quantity: number
  readonly average_price: number | null
  readonly reason: { readonly code: string; readonly message: string } | null
  readonly fills: ReadonlyArray<unknown>
}

const pollMs = 10
const waitLimitMs = 30_000

export const market = { symbol: "BTCUSDT", side: "BUY", type: "MARKET", quantity: 0.001 } as const

export const post = async (url: string, body: object): Promise<{ readonly status: number; readonly order: Order }> => {
  const response = await fetch(`${url}/api/v1/orders`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body)
  })
  return { status: response.status, order: (await response.json()) as Order }
}

/** Places an order that must be taken. */
export const place = async (url: string, body: object = market): Promise<Order> => {
  const { order, status } = await post(url, body)
  if (status !== 202) throw new Error(`answered ${status}: ${JSON.stringify(order)}`)
  return order
}

export const find = async (url: string, id: string): Promise<Order> =>
  (await (await fetch(`${url}/api/v1/orders/${id}`)).json()) as Order

export const cancel = (url: string, id: string): Promise<Response> =>
  fetch(`${url}/api/v1/orders/${id}`, { method: "DELETE" })

export const becomes = async (url: string, id: string, isIt: (order: Order) => boolean): Promise<Order> => {
  const start = performance.now()
  while (true) {
    const order = await find(url, id)
    if (isIt(order)) return order
    if (performance.now() - start > waitLimitMs) throw new Error(`never came; last seen: ${JSON.stringify(order)}`)
    await pause(pollMs)
  }
}

export const ends = (url: string, id: string): Promise<Order> =>
  becomes(url, id, ({ status }) => ["COMPLETED", "FAILED", "CANCELLED"].includes(status))

/** A LIMIT order far enough from the market to rest, computed as the README does. */
export const resting = async (url: string) => {
  const { bid } = (await (await fetch(`${url}/api/v1/symbols/BTCUSDT`)).json()) as { readonly bid: number }
  return { symbol: "BTCUSDT", side: "BUY", type: "LIMIT", quantity: 0.001, price: Math.floor(bid * 0.9) }
}

export const rests = (url: string, id: string): Promise<Order> =>
  becomes(url, id, (order) => order.status === "EXECUTING" && Reflect.get(order, "exchange_order_id") !== null)

export const list = async (url: string): Promise<ReadonlyArray<Order>> =>
  (await (await fetch(`${url}/api/v1/orders?limit=500`)).json()) as ReadonlyArray<Order>
