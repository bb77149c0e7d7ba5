/**
 * One connection to the exchange's WebSocket API that carries requests, many at a time, each answered under its id.
 *
 * Certainty is what matters, as in Transport.ts: NotSent only while the connection is not open, OutcomeUnknown once a
 * request was handed to it and no answer came: closed, cut, or too slow. Open until it is closed by either side; one
 * that is retired takes no more requests and closes after its last answer. An answer comes back in the form of REST.
 */
import { Effect } from "effect"
import { type RawData, WebSocket } from "ws"
import { NotSent, OutcomeUnknown } from "./BinanceError.ts"
import { type Answer, classify } from "./classify.ts"
import { signedParams, type Value } from "./sign.ts"
import { readFrame } from "./socketFrames.ts"
import type { Call } from "./Transport.ts"

const connectTimeoutMillis = 10_000
/** An order that was filled in 1,000 trades is 150 kB; beyond this the connection is closed. */
const maxFrameBytes = 1024 * 1024
/** "Normal closure". */
const closedByUs = 1_000

export interface RequestLink {
  readonly isOpen: () => boolean
  readonly send: (call: Call) => Effect.Effect<Answer, NotSent | OutcomeUnknown>
  /** No more requests; closes once none is in flight. */
  readonly retire: () => void
  /** Cut at once: what is in flight is in doubt. */
  readonly terminate: () => void
  /** Answered by a pong, whose coming shows that the connection lives. */
  readonly ping: () => void
  /** When anything came last, in ms of `performance.now`. */
  readonly heardAt: () => number
}

export interface RequestLinkOptions {
  readonly url: string
  /** Must be above the exchange's own 10 s, or each slow answer becomes doubt. */
  readonly timeoutMillis: number
  /** The exchange is about to go, and says so. Called once at most. */
  readonly onGoodbye: (link: RequestLink) => void
  readonly onClosed: (link: RequestLink) => void
}

type Outcome = Effect.Effect<Answer, NotSent | OutcomeUnknown>

/** Succeeds once requests may be sent. The caller owns the link and ends it. */
export const openLink = (options: RequestLinkOptions): Effect.Effect<RequestLink, NotSent> =>
  Effect.callback((resume) => {
    const socket = new WebSocket(options.url, {
      handshakeTimeout: connectTimeoutMillis,
      perMessageDeflate: false,
      maxPayload: maxFrameBytes
    })
    const link = linkOver(socket, options)
    let failure: unknown
    // Stays for the life of the connection: an error that nobody listens to would end the process.
    socket.on("error", (cause) => {
      failure ??= cause
    })
    // As when this address is limited or banned: the answer says for how long.
    socket.once("unexpected-response", (_request, { headers, statusCode }) => {
      failure = classify({ status: statusCode ?? 0, headers, body: "" })
      socket.terminate()
    })
    socket.once("open", () => resume(Effect.succeed(link)))
    socket.once("close", () =>
      resume(Effect.fail(new NotSent({ cause: failure ?? new Error("closed before it was open") })))
    )
    return Effect.sync(() => socket.terminate())
  })

const linkOver = (socket: WebSocket, { onClosed, onGoodbye, timeoutMillis }: RequestLinkOptions): RequestLink => {
  // Whoever waits for an answer, by the id of its request. Owned here.
  const waiting = new Map<string, (outcome: Outcome) => void>()
  let lastId = 0
  let heardAt = performance.now()
  let isRetired = false
  let saidGoodbye = false

  const settle = (id: string, outcome: Outcome) => {
    const done = waiting.get(id)
    if (done === undefined) return
    waiting.delete(id)
    done(outcome)
    closeWhenIdle()
  }
  const closeWhenIdle = () => {
    if (isRetired && waiting.size === 0) socket.close(closedByUs)
  }
  const hear = () => {
    heardAt = performance.now()
  }

  socket.on("ping", hear)
  socket.on("pong", hear)
  socket.on("message", (data) => {
    hear()
    const frame = readFrame(textOf(data))
    if (frame._tag === "Answer") return settle(frame.id, Effect.succeed(frame.answer))
    if (frame._tag !== "Goodbye" || saidGoodbye) return
    saidGoodbye = true
    onGoodbye(link)
  })
  socket.on("close", (code) => {
    for (const id of waiting.keys()) settle(id, unknown(new Error(`the connection was closed with ${code}`)))
    onClosed(link)
  })

  const send = (call: Call): Outcome =>
    Effect.callback((resume) => {
      if (socket.readyState !== WebSocket.OPEN) return resume(notOpen)
      const id = `${++lastId}`
      const timer = setTimeout(
        () => settle(id, unknown(new Error(`no answer within ${timeoutMillis} ms`))),
        timeoutMillis
      )
      waiting.set(id, (outcome) => {
        clearTimeout(timer)
        resume(outcome)
      })
      socket.send(frameOf(id, call), (error) => {
        // Some of it may have left.
        if (error !== undefined && error !== null) settle(id, unknown(error))
      })
      return Effect.sync(() => {
        clearTimeout(timer)
        waiting.delete(id)
        closeWhenIdle()
      })
    })

  const link: RequestLink = {
    isOpen: () => !isRetired && socket.readyState === WebSocket.OPEN,
    send,
    retire: () => {
      isRetired = true
      closeWhenIdle()
    },
    terminate: () => socket.terminate(),
    ping: () => socket.ping(),
    heardAt: () => heardAt
  }
  return link
}

export const notOpen = Effect.fail(new NotSent({ cause: new Error("the connection to the WebSocket API is not open") }))

const unknown = (cause: unknown) => Effect.fail(new OutcomeUnknown({ cause }))

const frameOf = (id: string, { endpoint, keys, parameters }: Call): string => {
  const params = keys === null ? Object.fromEntries(parameters) : signedParams(keys, parameters)
  return `{"id":"${id}","method":"${endpoint.webSocket}","params":{${Object.entries(params).map(memberOf).join()}}}`
}

const memberOf = ([name, value]: readonly [string, Value]): string =>
  `"${name}":${typeof value === "bigint" ? value : JSON.stringify(value)}`

const textOf = (data: RawData): string =>
  (Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? Buffer.from(data) : data).toString("utf8")
