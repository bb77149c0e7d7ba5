/** One WebSocket to an exchange: requests with their answers, and all that comes by itself, in order. */
import { once } from "node:events"
import { WebSocket } from "ws"

export type Message = Readonly<Record<string, unknown>>

export interface Connection {
  readonly messages: ReadonlyArray<Message>
  /** Waits for the answer with the request's id. */
  readonly ask: (request: Message) => Promise<Message>
  /** Waits for the first message that is meant. */
  readonly hear: (what: string, isMeant: (message: Message) => boolean) => Promise<Message>
  readonly close: () => void
}

const waitMillis = 20_000
const pollMillis = 10

/** Requests are counted: `idOf` makes their ids of it, for an exchange may take other ids here than there. */
export const connect = async (url: string, idOf: (n: number) => string | number): Promise<Connection> => {
  const socket = new WebSocket(url)
  const messages: Array<Message> = []
  socket.on("message", (data: Buffer) => messages.push(JSON.parse(data.toString("utf8")) as Message))
  await once(socket, "open")
  let asked = 0

  const hear: Connection["hear"] = async (what, isMeant) => {
    const until = Date.now() + waitMillis
    while (Date.now() < until) {
      const found = messages.find(isMeant)
      if (found !== undefined) return found
      await new Promise((resolve) => setTimeout(resolve, pollMillis))
    }
    throw new Error(`not heard in ${waitMillis} ms: ${what}`)
  }
  return {
    messages,
    hear,
    ask: (request) => {
      const id = idOf(++asked)
      socket.send(JSON.stringify({ id, ...request }))
      return hear(`the answer to ${JSON.stringify(request)}`, (message) => message["id"] === id)
    },
    close: () => socket.terminate()
  }
}
