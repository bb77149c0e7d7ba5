/** Where requests go out and answers are noted by their kind, over REST and over the WebSocket API alike. */
import { createHmac } from "node:crypto"
import { connect, type Connection, type Message } from "./connection.ts"

export interface Exchange {
  readonly rest: string
  readonly webSocketApi: string
  readonly streams: string
  readonly apiKey: string
  readonly apiSecret: string
  /** Signs for `session.logon`, which is for Ed25519 keys alone; there is no session without it. */
  readonly signLogon?: (payload: string) => string
  /** Makes the exchange say that it goes away; that is not heard without it. */
  readonly announceShutdown?: () => void
}

export type Params = Readonly<Record<string, string | number | boolean>>

export interface Desk {
  readonly exchange: Exchange
  readonly api: Connection
  readonly note: (kind: string, answer: unknown) => void
  readonly noted: ReadonlyMap<string, ReadonlyArray<unknown>>
  /** A request without a signature, and with another key than ours if one is given. */
  readonly look: (kind: string, path: string, params?: Params, apiKey?: string) => Promise<Message>
  /** A signed request; under the name of no kind it is not noted. */
  readonly ask: (kind: string, request: string, params?: Params) => Promise<Message>
  /** A signed request over the WebSocket API; with another signature than ours if one is given. */
  readonly call: (kind: string, method: string, params?: Params, signature?: string) => Promise<Message>
}

/** The kind of what is asked for its effect. */
export const unnoted = ""

export const openDesk = async (exchange: Exchange): Promise<Desk> => {
  const api = await connect(exchange.webSocketApi, (n) => `ask-${n}`)
  const noted = new Map<string, Array<unknown>>()
  const note = (kind: string, answer: unknown): void => {
    if (kind !== unnoted) noted.set(kind, [...(noted.get(kind) ?? []), answer])
  }
  const hmac = (payload: string): string =>
    createHmac("sha256", exchange.apiSecret).update(payload, "utf8").digest("hex")

  return {
    exchange,
    api,
    note,
    noted,
    look: async (kind, path, params = {}, apiKey = exchange.apiKey) => {
      const headers = { "X-MBX-APIKEY": apiKey }
      const answer = await fetch(`${exchange.rest}/api/v3/${path}?${formOf(params)}`, { headers })
      const json = (await answer.json()) as Message
      note(kind, json)
      return json
    },
    ask: async (kind, request, params = {}) => {
      const [method = "", path = ""] = request.split(" ")
      const form = formOf({ timestamp: Date.now(), ...params })
      const url = `${exchange.rest}/api/v3/${path}?${form}&signature=${hmac(form)}`
      const answer = await fetch(url, { method, headers: { "X-MBX-APIKEY": exchange.apiKey } })
      const json = (await answer.json()) as Message
      note(kind, json)
      return json
    },
    call: async (kind, method, params = {}, forged) => {
      const all: Params = { timestamp: Date.now(), ...params, apiKey: exchange.apiKey }
      const answer = await api.ask({ method, params: { ...all, signature: forged ?? hmac(sortedFormOf(all)) } })
      note(kind, answer)
      return answer
    }
  }
}

const formOf = (params: Params): string =>
  Object.entries(params)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
    .join("&")

/** What a request over the WebSocket API is signed as. */
export const sortedFormOf = (params: Params): string =>
  Object.keys(params)
    .sort()
    .map((name) => `${name}=${params[name]}`)
    .join("&")
