/**
 * A WebSocket API on loopback that answers what a test tells it to, and remembers the frames it got. It knows nothing of
 * an exchange: the tests of the order connection say which frames come back, and judge those that arrived.
 */
import { Effect } from "effect"
import type { AddressInfo } from "node:net"
import { type WebSocket, WebSocketServer } from "ws"

export interface Frame {
  readonly id: string
  readonly method: string
  readonly params: Readonly<Record<string, string | number>>
  /** As it came over the wire. */
  readonly text: string
  /** Number of the connection that brought it, from 1 on. */
  readonly connection: number
}

export type FrameReply =
  | { readonly status: number; readonly result?: unknown; readonly error?: unknown; readonly rateLimits?: unknown }
  /** The connection is cut when the request has arrived. */
  | "cut"
  /** No answer, ever. */
  | "silence"
  /** A text that is no answer. */
  | { readonly text: string }

export interface RequestServer {
  readonly url: string
  readonly asked: ReadonlyArray<Frame>
  readonly connections: () => number
  readonly open: () => number
  readonly answer: (reply: (frame: Frame) => FrameReply | Promise<FrameReply>) => void
  /** To every connection. */
  readonly say: (text: string) => void
  /** New connections are answered this, and never opened; null: they are. */
  readonly refuse: (response: string | null) => void
  /** From now on nothing is said, not even that the connection lives. */
  readonly fallSilent: () => void
  readonly stop: Effect.Effect<void>
}

export const requestServer = Effect.acquireRelease(
  Effect.callback<RequestServer>((resume) => {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0, autoPong: false })
    const asked: Array<Frame> = []
    let connections = 0
    let reply: (frame: Frame) => FrameReply | Promise<FrameReply> = () => "silence"
    let refusal: string | null = null
    let isDeaf = false
    const give = (socket: WebSocket, id: string, what: FrameReply) => {
      if (what === "cut") socket.terminate()
      else if (what !== "silence") socket.send("text" in what ? what.text : JSON.stringify({ id, ...what }))
    }
    server.on("connection", (socket) => {
      const connection = ++connections
      socket.on("ping", () => {
        if (!isDeaf) socket.pong()
      })
      socket.on("message", (data) => {
        const text = (data as Buffer).toString("utf8")
        const frame = { ...(JSON.parse(text) as Pick<Frame, "id" | "method" | "params">), text, connection }
        asked.push(frame)
        void Promise.resolve(reply(frame)).then((what) => give(socket, frame.id, what))
      })
    })
    const accept = server.handleUpgrade.bind(server)
    server.handleUpgrade = (request, socket, head, done) => {
      if (refusal === null) return accept(request, socket, head, done)
      socket.end(refusal)
    }
    server.on("listening", () =>
      resume(
        Effect.succeed({
          url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws-api/v3`,
          asked,
          connections: () => connections,
          open: () => server.clients.size,
          answer: (next) => {
            reply = next
          },
          say: (text) => {
            for (const socket of server.clients) socket.send(text)
          },
          refuse: (response) => {
            refusal = response
          },
          fallSilent: () => {
            isDeaf = true
            reply = () => "silence"
          },
          stop: Effect.callback<void>((done) => {
            for (const socket of server.clients) socket.terminate()
            server.close(() => done(Effect.void))
          })
        })
      )
    )
  }),
  (server) => server.stop
)
