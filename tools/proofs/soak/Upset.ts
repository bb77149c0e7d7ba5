/**
 * Lets something go wrong once a second, drawn by seed: at the exchange and on the way to it through its control port,
 * with its clock, and by the deaths and pauses of both programs.
 *
 * A death or a pause of its own takes the place of a draw when its time has come. The clock stays within 3 s of ours,
 * also over a restart of the exchange, which sets it right: δ of the run covers that. Nexus dies no more once `steadyAt`
 * has come, so that one process can be measured.
 */
import { Chance } from "../exactlyOnce/trials.ts"
import { pause, type Program } from "../programs.ts"
import { type Act, type Kind, kinds } from "./kinds.ts"

export interface Rhythm {
  readonly deathsEverySeconds: number
  readonly pausesEverySeconds: number
  readonly clockEverySeconds: number
}

/** A step of the clock and its way back. */
const farthestMillis = 3_000
const greatestDriftPpm = 500
const answerMillis = 10_000
const crashMillis = 10_000
/** A firewall's minute of silence must be over when the faults end. */
const quietSeconds = 90

/** Something that comes by itself, about so often. */
class Recurring {
  #next: number
  readonly #every: number
  readonly #chance: Chance
  constructor(chance: Chance, everySeconds: number, begun: number) {
    this.#chance = chance
    this.#every = everySeconds * 1_000
    this.#next = begun + this.#every * (0.5 + chance.next() / 2)
  }
  isDue(now: number): boolean {
    if (now < this.#next) return false
    this.#next = now + this.#every * (0.75 + this.#chance.next() / 2)
    return true
  }
}

export class Upset {
  readonly counts = new Map<string, number>()
  /** How often armed faults of requests have struck, over all lives of the exchange. */
  struck = 0
  /** Drawn in the moment of the exchange's death, and lost. */
  missed = 0
  readonly failures: Array<string> = []
  /** How long Nexus was dead or starting, all in all. */
  awayMillis = 0
  /** When the Nexus of now was ready. */
  nexusSince = Date.now()
  readonly #exchange: Program
  readonly #nexus: Program
  readonly #control: string
  readonly #chance: Chance
  readonly #rhythm: Rhythm
  readonly #under = new Set<Promise<void>>()
  readonly #lastDrawn = new Map<Kind, number>()
  #exchangeIsBack = true
  #nexusIsBack = true
  #wasSilenced = false

  constructor(exchange: Program, nexus: Program, control: string, seed: number, rhythm: Rhythm) {
    this.#exchange = exchange
    this.#nexus = nexus
    this.#control = control
    this.#chance = new Chance(seed)
    this.#rhythm = rhythm
  }

  /** One a second, say, until the moment; returns when all of them are over. */
  async rage(perSecond: number, until: number, steadyAt: number): Promise<void> {
    const begun = Date.now()
    const { clockEverySeconds, deathsEverySeconds, pausesEverySeconds } = this.#rhythm
    const exchangeDeaths = new Recurring(this.#chance, deathsEverySeconds, begun)
    const nexusDeaths = new Recurring(this.#chance, deathsEverySeconds, begun)
    const pauses = new Recurring(this.#chance, pausesEverySeconds, begun)
    const clocks = new Recurring(this.#chance, clockEverySeconds, begun)
    for (let drawn = 1; ; drawn++) {
      const at = begun + (drawn * 1_000) / perSecond
      if (at >= until) break
      await pause(Math.max(0, at - Date.now()))
      const now = Date.now()
      if (this.#exchangeIsBack && exchangeDeaths.isDue(now)) this.#start(() => this.#exchangeDies())
      else if (now < steadyAt && this.#nexusIsBack && nexusDeaths.isDue(now)) this.#start(() => this.#nexusDies())
      else if (this.#nexusIsBack && pauses.isDue(now)) this.#start(() => this.#nexusStops())
      else if (clocks.isDue(now)) this.#start(() => this.#clock())
      else this.#start(() => this.#draw(now, until))
    }
    await Promise.all(this.#under)
    await this.#end()
  }

  #start(work: () => Promise<void>): void {
    const running: Promise<void> = work()
      .catch((error: unknown) => void this.failures.push(String(error)))
      .then(() => void this.#under.delete(running))
    this.#under.add(running)
  }

  #count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
  }

  async #draw(now: number, until: number): Promise<void> {
    const kind = this.#kind(now, until)
    this.#lastDrawn.set(kind, now)
    const acts = kind.acts(this.#chance)
    const afterMillis = kind.ends === undefined ? 0 : this.#chance.whole(...kind.ends.afterMillis)
    if (!(await this.#arm(acts))) return
    this.#count(kind.name)
    if (kind.name === "stream: silent") this.#wasSilenced = true
    if (kind.ends === undefined) return
    await pause(afterMillis)
    // A restart has ended it too.
    for (const act of kind.ends.acts) await this.#act(act).catch(() => {})
  }

  #kind(now: number, until: number): Kind {
    const possible = kinds.filter(
      (kind) =>
        kind.everySeconds === undefined ||
        (now + quietSeconds * 1_000 < until && now - (this.#lastDrawn.get(kind) ?? 0) > kind.everySeconds * 1_000)
    )
    let left = this.#chance.next() * possible.reduce((sum, { weight }) => sum + weight, 0)
    return possible.find(({ weight }) => (left -= weight) < 0) ?? possible[0]!
  }

  async #act({ body, method, path }: Act): Promise<unknown> {
    const response = await fetch(`${this.#control}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(answerMillis)
    })
    const text = await response.text()
    if (!response.ok) throw new Misunderstood(`control ${method} ${path}: ${response.status} ${text}`)
    return JSON.parse(text)
  }

  async #exchangeDies(): Promise<void> {
    this.#exchangeIsBack = false
    await this.#addStruck()
    const when = this.#chance.one(["now", "arrived", "written"] as const)
    this.#count(when === "now" ? "exchange: killed" : `exchange: dies, order ${when}`)
    if (when !== "now") {
      await this.#act({ method: "POST", path: "/faults", body: { on: "POST /api/v3/order", kind: "crash", when } })
      const end = Date.now() + crashMillis
      while (!hasEnded(this.#exchange) && Date.now() < end) await pause(20)
    }
    await this.#exchange.stop("SIGKILL")
    await pause(this.#chance.whole(0, 2_000))
    this.#wasSilenced = false
    try {
      await this.#exchange.start()
    } finally {
      // Also when it did not come back: nobody must wait for ever, and the failure is told.
      this.#exchangeIsBack = true
    }
  }

  async #nexusDies(): Promise<void> {
    this.#nexusIsBack = false
    this.#count("nexus: killed")
    if (hasEnded(this.#nexus)) throw new Error("Nexus had ended by itself")
    const killed = Date.now()
    await this.#nexus.stop("SIGKILL")
    await this.#nexus.start()
    this.nexusSince = Date.now()
    this.awayMillis += this.nexusSince - killed
    this.#nexusIsBack = true
  }

  async #nexusStops(): Promise<void> {
    this.#nexusIsBack = false
    this.#count("nexus: stands still")
    this.#nexus.child?.kill("SIGSTOP")
    await pause(this.#chance.whole(500, 6_000))
    this.#nexus.child?.kill("SIGCONT")
    this.#nexusIsBack = true
  }

  async #clock(): Promise<void> {
    const drift = this.#chance.whole(-greatestDriftPpm, greatestDriftPpm)
    const size = this.#chance.whole(1_000, farthestMillis)
    const isAhead = this.#chance.next() < 0.5
    await this.#untilBack()
    try {
      const { offsetMillis } = (await this.#act({ method: "POST", path: "/clock", body: { driftPpm: drift } })) as {
        readonly offsetMillis: number
      }
      const fits = Math.abs(offsetMillis + (isAhead ? size : -size)) <= farthestMillis
      // From near a limit of 3 s, one of both ways may be barred; the other is then always open.
      const stepMillis = isAhead === fits ? size : -size
      await this.#act({ method: "POST", path: "/clock", body: { stepMillis } })
      this.#count("clock: step and drift")
    } catch (error) {
      this.#miss(error)
    }
  }

  /** Waits for an exchange that is just coming back, so that no second goes without its fault; whether it was told. */
  async #arm(acts: ReadonlyArray<Act>): Promise<boolean> {
    await this.#untilBack()
    try {
      for (const act of acts) await this.#act(act)
      return true
    } catch (error) {
      this.#miss(error)
      return false
    }
  }

  async #untilBack(): Promise<void> {
    while (!this.#exchangeIsBack) await pause(100)
  }

  /** It died just then; or it does not understand us, which is a fault of this proof. */
  #miss(error: unknown): void {
    if (error instanceof Misunderstood) throw error
    this.missed += 1
  }

  /** Nothing goes wrong any more: what was armed, what is silent, and the clock's drift end now. */
  async #end(): Promise<void> {
    await this.#addStruck()
    await this.#act({ method: "DELETE", path: "/faults" })
    await this.#act({ method: "DELETE", path: "/stream" })
    await this.#act({ method: "POST", path: "/clock", body: { driftPpm: 0 } })
    if (this.#wasSilenced) await this.#act({ method: "POST", path: "/stream", body: { action: "cut" } })
  }

  async #addStruck(): Promise<void> {
    try {
      const { struck } = (await this.#act({ method: "GET", path: "/faults" })) as {
        readonly struck: Readonly<Record<string, number>>
      }
      this.struck += Object.values(struck).reduce((sum, count) => sum + count, 0)
    } catch {
      // It is counted low then, which hides nothing.
    }
  }
}

class Misunderstood extends Error {}

const hasEnded = ({ child }: Program): boolean =>
  child === undefined || child.exitCode !== null || child.signalCode !== null
