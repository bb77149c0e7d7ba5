/** The requests of the WebSocket API that concern the connection itself, each at the exchange's weight of 2. */
import { always, type Endpoint } from "./Endpoint.ts"
import type { Parameters } from "./Parameters.ts"

export const ofConnection = {
  logon: "session.logon",
  status: "session.status",
  logout: "session.logout",
  subscriptions: "session.subscriptions",
  subscribe: "userDataStream.subscribe",
  subscribeSignature: "userDataStream.subscribe.signature",
  unsubscribe: "userDataStream.unsubscribe"
} as const

const request = (webSocket: string, isSigned: boolean, read: (p: Parameters) => void = () => {}): Endpoint => ({
  rest: "",
  webSocket,
  isSigned,
  weight: always(2),
  read: (p) => {
    read(p)
    return () => undefined
  }
})

const all = [
  request(ofConnection.logon, true),
  request(ofConnection.status, false),
  request(ofConnection.logout, false),
  request(ofConnection.subscriptions, false),
  request(ofConnection.subscribe, false),
  request(ofConnection.subscribeSignature, true),
  request(ofConnection.unsubscribe, false, (p) => p.whole("subscriptionId"))
]

export const requestsOfConnection: ReadonlyMap<string, Endpoint> = new Map(all.map((one) => [one.webSocket, one]))
