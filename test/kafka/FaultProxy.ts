/**
 * A TCP proxy in front of a broker that understands Kafka's frames, so that a test can lose exactly
 * the answer it means to: the request has been done, and the client never hears of it.
 *
 * Advertised addresses in answers are rewritten to the proxy's port, so that clients stay on it.
 */
import { createServer, connect, type Server, type Socket } from "node:net"

/** What happens to one produce request. `forward` is health. */
export type Fault =
  | "forward"
  | "drop answer"
  | "reset on answer"
  | "reset on request"
  | "drop request"
  | { readonly delayAnswerMillis: number }

export interface FaultProxy {
  readonly brokers: string
  /** Of produce requests, in order of arrival, each used once; then all are forwarded. */
  readonly script: Array<Fault>
  /** Produce requests seen so far. */
  readonly produced: () => number
  readonly cutAll: () => void
  readonly listen: () => Promise<void>
  readonly close: () => Promise<void>
}

const produceKey = 0

export const makeFaultProxy = async (broker: string): Promise<FaultProxy> => {
  const [host, portText] = broker.split(",")[0]!.split(":")
  const port = Number(portText)
  const script: Array<Fault> = []
  const sockets = new Set<Socket>()
  let produced = 0
  let ownPort = 0

  const serve = (client: Socket): void => {
    const server = connect(port, host)
    const cut = () => {
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on("error", cut)
      socket.on("close", () => {
        sockets.delete(socket)
        cut()
      })
    }
    const faults = new Map<number, Fault>()
    onFrames(client, (frame) => {
      if (frame.readInt16BE(4) === produceKey) {
        produced++
        const fault = script.shift() ?? "forward"
        if (fault === "reset on request") return cut()
        if (fault === "drop request") return
        if (fault !== "forward") faults.set(frame.readInt32BE(8), fault)
      }
      server.write(frame)
    })
    onFrames(server, (frame) => {
      const id = frame.readInt32BE(4)
      const fault = faults.get(id)
      faults.delete(id)
      const answer = withOwnPort(frame, host!, port, ownPort)
      if (fault === undefined) client.write(answer)
      else if (fault === "reset on answer") cut()
      else if (typeof fault === "object")
        setTimeout(() => client.destroyed || client.write(answer), fault.delayAnswerMillis)
    })
  }

  let server: Server | undefined
  const listen = () =>
    new Promise<void>((resolve, reject) => {
      server = createServer(serve)
      server.once("error", reject)
      server.listen(ownPort, "127.0.0.1", () => {
        ownPort = (server!.address() as { readonly port: number }).port
        resolve()
      })
    })
  const cutAll = () => sockets.forEach((socket) => socket.destroy())
  const close = () =>
    new Promise<void>((resolve) => {
      cutAll()
      if (server === undefined) resolve()
      else server.close(() => resolve())
    })

  await listen()
  return { brokers: `127.0.0.1:${ownPort}`, script, produced: () => produced, cutAll, listen, close }
}

const onFrames = (socket: Socket, take: (frame: Buffer) => void): void => {
  let rest = Buffer.alloc(0)
  socket.on("data", (chunk) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 4) {
      const end = 4 + rest.readInt32BE(0)
      if (rest.length < end) return
      take(rest.subarray(0, end))
      rest = rest.subarray(end)
    }
  })
}

/** A broker's address is a string with its length before it and a port of four bytes after it. */
const withOwnPort = (frame: Buffer, host: string, port: number, own: number): Buffer => {
  const address = Buffer.alloc(2 + host.length + 4)
  address.writeInt16BE(host.length, 0)
  address.write(host, 2)
  address.writeInt32BE(port, 2 + host.length)
  for (let at = frame.indexOf(address); at >= 0; at = frame.indexOf(address, at + 1)) {
    frame.writeInt32BE(own, at + 2 + host.length)
  }
  return frame
}
