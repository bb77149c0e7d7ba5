/**
 * What a client library must be able to do, in the words of the script; each library has one file that says how it says
 * them. Values come as the library gives them, as texts where they are decimals.
 */

export interface Exchange {
  /** Base addresses, without a path. */
  readonly rest: string
  readonly webSocket: string
  readonly apiKey: string
  readonly apiSecret: string
}

export interface Placed {
  readonly orderId: string
  readonly status: string
}

export interface Wanted {
  readonly symbol: string
  readonly side: "BUY" | "SELL"
  readonly quantity: string
  readonly clientOrderId: string
}

export interface Event {
  readonly clientOrderId: string
  readonly status: string
}

export interface ForeignClient {
  /** What the library wants every client order id to begin with. */
  readonly idPrefix?: string
  readonly serverTime: () => Promise<number>
  /** Names of the symbols, as the exchange spells them. */
  readonly symbols: () => Promise<ReadonlyArray<string>>
  readonly bestBid: (symbol: string) => Promise<string>
  /** How many levels one side of the book has, of at most 5. */
  readonly depth: (symbol: string) => Promise<number>
  readonly candles: (symbol: string) => Promise<number>
  readonly dayTicker: (symbol: string) => Promise<string>
  readonly publicTrades: (symbol: string) => Promise<number>
  readonly placeLimit: (order: Wanted & { readonly price: string }) => Promise<Placed>
  readonly placeMarket: (order: Wanted) => Promise<Placed>
  readonly query: (symbol: string, orderId: string) => Promise<Placed>
  readonly openOrders: (symbol: string) => Promise<ReadonlyArray<string>>
  readonly cancel: (symbol: string, orderId: string) => Promise<Placed>
  readonly allOrders: (symbol: string) => Promise<ReadonlyArray<string>>
  /** Ids of the orders that traded. */
  readonly trades: (symbol: string) => Promise<ReadonlyArray<string>>
  /** What is free of an asset. */
  readonly free: (asset: string) => Promise<string>
  /** Two orders of which one cancels the other; absent where the library has no way to say it. */
  readonly placeOco?: (order: Wanted & Oco) => Promise<ReadonlyArray<string>>
  /** The same over the WebSocket API; absent where the library has no way to say it. */
  readonly placeOverWebSocket?: (order: Wanted & { readonly price: string }) => Promise<Placed>
  readonly cancelOverWebSocket?: (symbol: string, orderId: string) => Promise<Placed>
  /** How many were cancelled. */
  readonly cancelAll: (symbol: string) => Promise<number>
  /** Tells every order event from now on; resolves when it hears. */
  readonly userStream: (tell: (event: Event) => void) => Promise<void>
  /** Resolves with the price of the next trade that the public stream tells. */
  readonly nextTrade: (symbol: string) => Promise<string>
  readonly close: () => Promise<void>
}

export interface Oco {
  readonly abovePrice: string
  readonly belowStopPrice: string
  readonly belowPrice: string
}
