/**
 * A TCP proxy that stands for a network: it passes bytes, or is cut. A silent cut swallows nothing and answers nothing:
 * what was sent waits, as packets of a lost route do, and arrives late when the route is back. A refusing cut ends every
 * connection, and each new one at once. A deaf one lets requests through and keeps the answers until it is healed. A
 * network may also be slow: every answer comes late.
 *
 * A Kafka client follows the addresses that its broker tells it, so answers may be rewritten to name other ports of the
 * same host, which keeps every length.
 */
import { createServer, connect, type Server, type Socket } from "node:net"
import { Transform } from "node:stream"
import { freePort } from "../../freePort.ts"

export type CutKind = "silent" | "refusing" | "deaf"

/** Of an answer, which stand before it. */
const lengthBytes = 4
const newOrder = Buffer.from("POST /api/v3/order?")

interface Pair {
  readonly near: Socket
  readonly far: Socket
}

export interface Renamed {
  readonly host: string
  readonly from: number
  readonly to: number
}

export class Cut {
  readonly port: number
  /** New orders that went to an exchange this way: each request begins a packet, since a connection has one at a time. */
  orders = 0
  readonly #targetHost: string
  readonly #targetPort: number
  readonly #renamed: ReadonlyArray<Renamed>
  readonly #pairs = new Set<Pair>()
  readonly #server: Server
  #cut: CutKind | null = null
  /** An answer waits so long before it is passed on. */
  #slowMillis = 0
  /** Connections of a silent cut that nobody has been asked for yet. */
  readonly #waiting = new Set<Socket>()

  private constructor(port: number, targetHost: string, targetPort: number, renamed: ReadonlyArray<Renamed>) {
    this.port = port
    this.#targetHost = targetHost
    this.#targetPort = targetPort
    this.#renamed = renamed
    this.#server = createServer({ pauseOnConnect: true }, (near) => this.#take(near))
  }

  static async open(target: { readonly host: string; readonly port: number }): Promise<Cut> {
    const [one] = await Cut.openAll([target], false)
    return one!
  }

  /** One in front of each; with `renames`, whoever is told the address of one is told its proxy's instead. */
  static async openAll(
    targets: ReadonlyArray<{ readonly host: string; readonly port: number }>,
    renames: boolean
  ): Promise<ReadonlyArray<Cut>> {
    const ports: Array<number> = []
    for (const _ of targets) ports.push(await freePort())
    const renamed = renames ? targets.map(({ host, port }, index) => ({ host, from: port, to: ports[index]! })) : []
    return Promise.all(
      targets.map(async ({ host, port }, index) => {
        const cut = new Cut(ports[index]!, host, port, renamed)
        await new Promise<void>((resolve, reject) => {
          cut.#server.once("error", reject)
          cut.#server.listen(cut.port, "127.0.0.1", resolve)
        })
        return cut
      })
    )
  }

  cut(kind: CutKind): void {
    this.#cut = kind
    for (const pair of this.#pairs) {
      if (kind === "refusing") end(pair)
      else if (kind === "deaf") pair.far.pause()
      else for (const socket of [pair.near, pair.far]) socket.pause()
    }
  }

  /** Until it is healed. */
  slow(millis: number): void {
    this.#slowMillis = millis
  }

  heal(): void {
    this.#cut = null
    this.#slowMillis = 0
    for (const { far, near } of this.#pairs) for (const socket of [near, far]) socket.resume()
    for (const near of this.#waiting) this.#join(near)
    this.#waiting.clear()
  }

  /** As its target sees them: the ports that its connections come from. */
  clientPorts(): ReadonlyArray<number> {
    return [...this.#pairs].flatMap(({ far }) => (far.localPort === undefined ? [] : [far.localPort]))
  }

  close(): void {
    for (const pair of this.#pairs) end(pair)
    for (const near of this.#waiting) near.destroy()
    this.#server.close()
  }

  #take(near: Socket): void {
    near.on("error", () => near.destroy())
    if (this.#cut === "refusing") near.resetAndDestroy()
    else if (this.#cut === "silent") {
      this.#waiting.add(near)
      near.once("close", () => this.#waiting.delete(near))
    } else this.#join(near)
  }

  #join(near: Socket): void {
    const far = connect(this.#targetPort, this.#targetHost)
    const pair = { near, far }
    this.#pairs.add(pair)
    for (const socket of [near, far]) {
      socket.setNoDelay(true)
      socket.on("error", () => end(pair))
      socket.once("close", () => {
        this.#pairs.delete(pair)
        end(pair)
      })
    }
    near.on("data", (bytes: Buffer) => {
      if (bytes.subarray(0, newOrder.length).equals(newOrder)) this.orders += 1
      far.write(bytes)
    })
    const back = this.#renamed.length === 0 ? null : rename(this.#renamed)
    const pass = (bytes: Buffer) => void (back ?? near).write(bytes)
    back?.on("data", (bytes: Buffer) => void near.write(bytes))
    const late: Array<Buffer> = []
    far.on("data", (bytes: Buffer) => {
      if (this.#slowMillis === 0 && late.length === 0) return pass(bytes)
      // Nothing may overtake what waits, so it waits as well.
      if (late.push(bytes) > 1) return
      setTimeout(() => late.splice(0).forEach((each) => near.destroyed || pass(each)), this.#slowMillis)
    })
    if (this.#cut === "deaf") far.pause()
    near.on("end", () => far.end())
    far.on("end", () => near.end())
    near.resume()
  }
}

const end = ({ far, near }: Pair): void => {
  near.destroy()
  far.destroy()
}

/**
 * Host and port stand side by side in Kafka's answers: text, then four bytes. Passed on answer by answer: the end of one
 * may look like the beginning of an address, and must not wait for the next.
 */
const rename = (renamed: ReadonlyArray<Renamed>): Transform => {
  const patterns = renamed.map(({ from, host, to }) => ({ find: addressOf(host, from), put: addressOf(host, to) }))
  let held = Buffer.alloc(0)
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      held = Buffer.concat([held, chunk])
      let end = 0
      while (held.length - end >= lengthBytes) {
        const next = end + lengthBytes + held.readInt32BE(end)
        if (next > held.length) break
        end = next
      }
      const whole = Buffer.from(held.subarray(0, end))
      held = held.subarray(end)
      for (const { find, put } of patterns) {
        for (let at = whole.indexOf(find); at >= 0; at = whole.indexOf(find, at + 1)) put.copy(whole, at)
      }
      done(null, whole)
    },
    flush(done) {
      done(null, held)
    }
  })
}

const addressOf = (host: string, port: number): Buffer => {
  const bytes = Buffer.alloc(host.length + 4)
  bytes.write(host, "latin1")
  bytes.writeInt32BE(port, host.length)
  return bytes
}
