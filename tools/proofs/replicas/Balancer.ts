/**
 * A round-robin proxy as trivial as they come: it asks each replica's `/ready` five times a second, hands each request
 * to the next one that was ready, and never tries twice. What it could not serve it counts, and it judges whether the
 * replicas are honest: a command that could not be stored makes its replica unready, and the same id resolves it.
 */
import { Agent, createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { pause } from "../programs.ts"

const askMillis = 200
const patienceMillis = 1_000
/** As a Kubernetes probe does: one late answer takes nobody out, a 503 or a refused connection does at once. */
const lateAnswers = 3

export class Balancer {
  readonly port: number
  /** What a client would have seen as a failure of ours, with its moment. */
  readonly failures: Array<{ readonly at: number; readonly what: string }> = []
  served = 0
  /** Commands that were not stored by a replica that called itself ready all the while. */
  readonly dishonest: Array<string> = []
  /** Orders whose last answer was no success. */
  readonly unresolved = new Set<string>()
  /** Commands that were answered 5xx, or not at all. */
  commandsFailed = 0
  readonly #replicas: ReadonlyArray<number>
  readonly #ready: Array<boolean>
  /** When each was last asked and did not say that it was ready. */
  readonly #lastUnready: Array<number>
  readonly #agent = new Agent({ keepAlive: true })
  readonly #server: Server
  #next = 0
  #isOpen = true

  constructor(port: number, replicas: ReadonlyArray<number>) {
    this.port = port
    this.#replicas = replicas
    this.#ready = replicas.map(() => false)
    this.#lastUnready = replicas.map(() => 0)
    this.#server = createServer((incoming, answer) => this.#serve(incoming, answer))
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.port, "127.0.0.1", resolve))
    for (const index of this.#replicas.keys()) void this.#watch(index)
    while (!this.#ready.every(Boolean)) await pause(askMillis)
  }

  close(): void {
    this.#isOpen = false
    this.#server.closeAllConnections()
    this.#server.close()
    this.#agent.destroy()
  }

  isReady(index: number): boolean {
    return this.#ready[index]!
  }

  async #watch(index: number): Promise<void> {
    let late = 0
    while (this.#isOpen) {
      try {
        const response = await fetch(`http://127.0.0.1:${this.#replicas[index]}/ready`, {
          signal: AbortSignal.timeout(patienceMillis)
        })
        await response.text()
        this.#ready[index] = response.status === 200
        if (response.status !== 200) this.#lastUnready[index] = Date.now()
        late = 0
      } catch (error) {
        this.#lastUnready[index] = Date.now()
        late = error instanceof Error && error.name === "TimeoutError" ? late + 1 : lateAnswers
        if (late >= lateAnswers) this.#ready[index] = false
      }
      await pause(askMillis)
    }
  }

  #choose(): number | null {
    for (let tries = 0; tries < this.#replicas.length; tries++) {
      const index = this.#next++ % this.#replicas.length
      if (this.#ready[index] === true) return index
    }
    return null
  }

  /** Of a command that was answered 5xx. One that was turned away for want of room was never to be stored. */
  #judge(reply: IncomingMessage, index: number, begun: number, name: string, what: string): void {
    this.commandsFailed += 1
    this.unresolved.add(name)
    let text = ""
    reply.on("data", (piece: Buffer) => (text += piece.toString("utf8")))
    reply.on("end", () => {
      const isUnready = this.#ready[index] !== true || this.#lastUnready[index]! >= begun
      if (/"code":"(store_unavailable|unknown_outcome)"/.test(text) && !isUnready) this.dishonest.push(what)
    })
  }

  #serve(incoming: IncomingMessage, answer: ServerResponse): void {
    const index = this.#choose()
    const what = `${incoming.method} ${incoming.url} at ${index === null ? "nobody" : `replica ${index}`}`
    const begun = Date.now()
    const command = readCommand(incoming)
    const fail = (why: string) => {
      // What reached nobody is no promise of anybody's.
      if (command !== null && index !== null) {
        this.commandsFailed += 1
        this.unresolved.add(command.name())
      }
      this.failures.push({ at: Date.now(), what: `${what}: ${why}` })
      if (answer.destroyed || answer.writableEnded) return
      if (answer.headersSent) answer.destroy()
      else answer.writeHead(503).end(JSON.stringify({ code: "no_replica" }))
    }
    if (index === null) {
      fail("no replica is ready")
      return
    }
    const outgoing = request(
      {
        agent: this.#agent,
        host: "127.0.0.1",
        port: this.#replicas[index],
        method: incoming.method,
        path: incoming.url,
        headers: incoming.headers
      },
      (reply) => {
        const status = reply.statusCode ?? 0
        if (status >= 500 || status === 408) this.failures.push({ at: Date.now(), what: `${what}: ${status}` })
        else this.served += 1
        if (command !== null) {
          if (status < 500) this.unresolved.delete(command.name())
          else this.#judge(reply, index, begun, command.name(), what)
        }
        const headers = { ...reply.headers }
        delete headers["connection"]
        delete headers["keep-alive"]
        answer.writeHead(status, headers)
        reply.on("error", () => answer.destroy())
        reply.pipe(answer)
      }
    )
    outgoing.on("error", (error) => {
      // Whoever asked has left: not the replica's fault.
      if (!incoming.destroyed || incoming.complete) fail(error.message)
    })
    answer.on("close", () => {
      if (!answer.writableFinished) outgoing.destroy()
    })
    incoming.pipe(outgoing)
  }
}

/** What a command is about, once its request has been read; null: it is none. */
const readCommand = (incoming: IncomingMessage): { readonly name: () => string } | null => {
  if (incoming.method === "DELETE") return { name: () => `DELETE ${incoming.url}` }
  if (incoming.method !== "POST") return null
  let body = ""
  incoming.on("data", (piece: Buffer) => (body += piece.toString("utf8")))
  return { name: () => `POST ${/"id":"([^"]+)"/.exec(body)?.[1] ?? body}` }
}
