/**
 * The load of the benches, a process of its own: node bench/load.ts PLAN, and one line of JSON as the answer.
 *
 * Closed loop (no rate): each connection posts, waits for the answer, and posts again. Open loop (a rate): posts
 * go out at their scheduled moments whatever the answers do, and latency counts from the schedule, so that a
 * stall of the server is paid for by everything that waited behind it. Plain sockets with prepared bytes, because
 * on two cores an HTTP client would take from the server what it measures.
 */
import type { Socket } from "node:net"
import { connect } from "node:net"
import { pathToFileURL } from "node:url"

export interface Plan {
  readonly port: number
  readonly connections: number
  /** Orders a second; null is the closed loop. */
  readonly rate: number | null
  /** Posted and not counted, before what is counted. */
  readonly warmUpSeconds: number
  readonly seconds: number
  /** Ids are this, a dash and nine digits, scattered as the ids of real clients are. */
  readonly ids: string
  /** What follows the id in the body of every order, taken in turn: `"symbol":"BTCUSDT",…`. */
  readonly orders: ReadonlyArray<string>
}

export interface Load {
  readonly answered: number
  readonly perSecond: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly p999: number
  /** Count by status, or by error of the socket, of everything that was not answered 202; empty when all is well. */
  readonly faults: Readonly<Record<string, number>>
  /** Open loop only: of each counted order, when it was due and when its answer came, in epoch milliseconds. */
  readonly orders: ReadonlyArray<readonly [id: string, scheduled: number, answered: number]>
}

// An answer that takes longer than this is a fault of its own, not a latency.
const patienceMillis = 20_000
// How early an open loop looks whether something is due.
const tickMillis = 1
const digits = 9

const requestsOf = ({ ids, orders, port }: Plan) => {
  const texts = orders.map((rest) => {
    const bodyBefore = `{"id":"${ids}-`
    const bodyAfter = `",${rest}}`
    const length = bodyBefore.length + digits + bodyAfter.length
    const head =
      `POST /api/v1/orders HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${length}\r\n\r\n`
    return [head + bodyBefore, bodyAfter] as const
  })
  return (number: number): string => {
    const [before, after] = texts[number % texts.length]!
    return before + numeral(number) + after
  }
}

// A permutation of the numbers of nine digits: the factor shares no divisor with 10.
const numeral = (number: number): string => String((number * 618_033_989) % 10 ** digits).padStart(digits, "0")

const contentLength = /\r\ncontent-length: *(\d+)/i

/** Answers have a few hundred bytes. */
const maxAnswerBytes = 16_384

/** One connection with at most one request on its way. Opened again when the server closed it. */
class Connection {
  private socket: Socket | null = null
  // Every answer is read into the same bytes: what a stream does for each piece costs more than all else here.
  private readonly bytes = Buffer.alloc(maxAnswerBytes)
  private length = 0
  private wanted = 0
  private answered: ((status: number) => void) | null = null
  private readonly port: number
  private readonly failed: (reason: string) => void

  constructor(port: number, failed: (reason: string) => void) {
    this.port = port
    this.failed = failed
  }

  send(request: string, answered: (status: number) => void): void {
    this.answered = answered
    this.wanted = 0
    this.length = 0
    const socket = this.socket ?? this.open()
    socket.write(request, "latin1")
  }

  close(): void {
    this.socket?.destroy()
  }

  private open(): Socket {
    const socket = connect({
      port: this.port,
      host: "127.0.0.1",
      noDelay: true,
      onread: { buffer: Buffer.alloc(maxAnswerBytes), callback: (size, bytes) => this.read(size, bytes) }
    })
    socket.on("error", (error: NodeJS.ErrnoException) => this.failed(error.code ?? error.message))
    socket.on("close", () => {
      this.socket = null
      this.finish(0)
    })
    this.socket = socket
    return socket
  }

  private read(size: number, piece: Uint8Array): boolean {
    if (this.length + size > maxAnswerBytes) throw new Error(`an answer of more than ${maxAnswerBytes} bytes`)
    this.bytes.set(piece.subarray(0, size), this.length)
    this.length += size
    if (this.wanted === 0) {
      const head = this.bytes.toString("latin1", 0, this.length)
      const end = head.indexOf("\r\n\r\n")
      if (end >= 0) this.wanted = end + 4 + Number(contentLength.exec(head)?.[1] ?? 0)
    }
    if (this.wanted > 0 && this.length >= this.wanted) this.finish(Number(this.bytes.toString("latin1", 9, 12)))
    return true
  }

  private finish(status: number): void {
    const { answered } = this
    this.answered = null
    answered?.(status)
  }
}

const epoch = (): number => performance.timeOrigin + performance.now()

export const load = async (plan: Plan): Promise<Load> => {
  const request = requestsOf(plan)
  const latencies: Array<number> = []
  const faults: Record<string, number> = {}
  const orders: Array<readonly [string, number, number]> = []
  const fault = (reason: string): void => {
    faults[reason] = (faults[reason] ?? 0) + 1
  }
  const connections = Array.from({ length: plan.connections }, () => new Connection(plan.port, fault))
  const start = epoch() + 50
  const from = start + plan.warmUpSeconds * 1000
  const to = from + plan.seconds * 1000
  let number = 0

  const note = (status: number, scheduled: number, order: number): void => {
    const now = epoch()
    const when = plan.rate === null ? now : scheduled
    if (when < from || when >= to) return
    if (status !== 202) return fault(String(status))
    latencies.push(now - scheduled)
    if (plan.rate !== null) orders.push([`${plan.ids}-${numeral(order)}`, scheduled, now])
  }

  const closedLoop = (connection: Connection): Promise<void> =>
    new Promise((done) => {
      const next = (): void => {
        if (epoch() >= to) return done()
        const sent = epoch()
        const order = ++number
        connection.send(request(order), (status) => {
          note(status, sent, order)
          // A server that is gone would turn this loop into a storm.
          if (status === 0) setTimeout(next, 50)
          else next()
        })
      }
      next()
    })

  const openLoop = (rate: number): Promise<void> =>
    new Promise((done) => {
      const free = [...connections]
      const due: Array<number> = []
      const all = Math.round((plan.warmUpSeconds + plan.seconds) * rate)
      let answered = 0
      const scheduledAt = (order: number): number => start + ((order - 1) * 1000) / rate
      const send = (): void => {
        while (free.length > 0 && due.length > 0) {
          const connection = free.shift()!
          const order = due.shift()!
          connection.send(request(order), (status) => {
            note(status, scheduledAt(order), order)
            answered += 1
            free.push(connection)
            if (answered === all) return end()
            send()
          })
        }
      }
      const timer = setInterval(() => {
        const now = epoch()
        while (number < all && scheduledAt(number + 1) <= now) due.push(++number)
        send()
        if (now > to + patienceMillis) {
          faults["no answer"] = all - answered
          end()
        }
      }, tickMillis)
      const end = (): void => {
        clearInterval(timer)
        done()
      }
    })

  if (plan.rate === null) await Promise.all(connections.map(closedLoop))
  else await openLoop(plan.rate)
  for (const connection of connections) connection.close()

  const sorted = Float64Array.from(latencies).sort()
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return {
    answered: sorted.length,
    perSecond: sorted.length / plan.seconds,
    p50: at(0.5),
    p99: at(0.99),
    p999: at(0.999),
    faults,
    orders
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  console.log(JSON.stringify(await load(JSON.parse(process.argv[2] ?? "") as Plan)))
}
