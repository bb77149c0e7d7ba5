/**
 * Proof: exactly once, or a known refusal, or visibly UNKNOWN. Every fault of the exchange and every crash point, each
 * in seeded trials, judged by the exchange's own ledger; then the same judge over a protocol with one pillar missing,
 * which it must condemn, and over an exchange that breaks the assumption that the whole rests on.
 *
 *   npm run test:exactly-once [-- --trials 20 --seed 1 --only faults|exchange|crashes|replacements|pillars|margins]
 */
import { inspect, parseArgs } from "node:util"
import { crashPoints } from "./exactlyOnce/crashPoints.ts"
import { judge, settle, type Verdict } from "./exactlyOnce/judge.ts"
import {
  contradictionsOf,
  type Dead,
  lateSecondHalf,
  points,
  replaceAndDie,
  settleAll
} from "./exactlyOnce/replacements.ts"
import { type Placed, Stage } from "./exactlyOnce/Stage.ts"
import { Chance, faults as kinds, plain, type Trial, trialsOf } from "./exactlyOnce/trials.ts"
import { pause } from "./programs.ts"

const { values } = parseArgs({
  options: {
    trials: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "" },
    keep: { type: "boolean", default: false }
  }
})
const trials = Number(values.trials)
const seed = Number(values.seed)
/** What must be proven absent waits recvWindow, δ and T; then it may be sent again, and be in doubt again. */
const settleMillis = 420_000
/** Orders on their way at a time: more would only wait for one another. */
const sideBySide = 24
/** Each is a process of its own. */
const traders = 4
const mostTimes = 6
/** An order is on its way within moments of a start, or its point has passed it by. */
const deathMillis = 15_000

let passed = 0
let failed = 0
const report = (what: string, good: boolean, detail: string): void => {
  if (good) passed += 1
  else failed += 1
  console.log(`${good ? "ok    " : "FAILED"} ${what}: ${detail}`)
}

const endsOf = ({ ends, unknown }: Verdict): string =>
  `${Array.from(ends, ([status, count]) => `${count} ${status}`).join(", ")}${unknown > 0 ? `, of them ${unknown} in doubt` : ""}`

/** So many at a time, each one after the other. */
const inTurns = async <T>(
  all: ReadonlyArray<T>,
  each: (one: T) => Promise<unknown>,
  atATime = sideBySide
): Promise<void> => {
  let next = 0
  await Promise.all(
    Array.from({ length: atATime }, async () => {
      while (next < all.length) await each(all[next++]!)
    })
  )
}

const shuffled = <T>(chance: Chance, all: ReadonlyArray<T>): ReadonlyArray<T> =>
  all
    .map((one) => ({ one, at: chance.next() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ one }) => one)

const onStage = async (
  name: string,
  without: string,
  act: (stage: Stage, chance: Chance) => Promise<void>
): Promise<void> => {
  const stage = new Stage(name, without)
  let whole = false
  const before = failed
  try {
    await stage.open(seed)
    await act(stage, new Chance(seed))
    whole = true
  } catch (error) {
    report(name, false, error instanceof Error ? inspect(error) : String(error))
  } finally {
    const keep = values.keep || !whole || failed > before
    await stage.close(keep)
    if (keep) console.log(`       kept ${stage.folder}`)
  }
}

const verified = async (stage: Stage, name: string): Promise<void> => {
  await stage.stop("SIGTERM")
  const { code, out } = await stage.verify()
  report(`${name}, nexus verify`, code === 0, out.trim().split("\n").at(-1) ?? "")
}

const byFault = async (stage: Stage, all: typeof stage.placed): Promise<void> => {
  for (const [name, orders] of Map.groupBy(all, ({ trial }) => trial.fault)) {
    const verdict = await judge(stage, orders)
    const mine = verdict.faults.filter((fault) => !fault.startsWith("the ledger has"))
    report(
      name,
      mine.length === 0,
      `${orders.length} trials, ${endsOf(verdict)}${mine.length > 0 ? `; ${mine.slice(0, 3).join("; ")}` : ""}`
    )
  }
  const { faults } = await judge(stage, stage.placed)
  const orphans = faults.filter((fault) => fault.startsWith("the ledger has"))
  report(
    "the ledger has no order of ours that the log lacks",
    orphans.length === 0,
    `${stage.placed.length} orders placed${orphans.length > 0 ? `; ${orphans.slice(0, 3).join("; ")}` : ""}`
  )
}

/** Each fault that strikes one order alone, all side by side. */
const orderFaults = () =>
  onStage("faults", "", async (stage, chance) => {
    await stage.start()
    let next = shuffled(chance, trialsOf(chance, trials))
    // A market that fills an order before its cancel comes spares it the fault of the cancel: that one is placed again.
    for (let time = 0; next.length > 0 && time < mostTimes; time++) {
      const from = stage.placed.length
      await inTurns(next, (trial) => stage.place(trial))
      await settle(stage, stage.placed, settleMillis)
      const spared: Array<Trial> = []
      for (const order of stage.placed.slice(from)) if (!(await stage.hasStruck(order))) spared.push(order.trial)
      next = spared
    }
    report("every fault has struck", next.length === 0, `${next.length} of its trials are missing`)
    await byFault(stage, stage.placed)
    await verified(stage, "faults")
  })

/** What strikes everybody: the stream, the clock, limits, the exchange's own death, and its reset. */
const exchangeFaults = () =>
  onStage("exchange", "", async (stage, chance) => {
    await stage.start()
    const manner = () => chance.one(["market", "crossing", "resting", "immediate"] as const)
    // It strikes anew for each trial: before its order is on its way, while it is, or when it has just arrived.
    const during = async (name: string, upset: (stage: Stage, trial: number) => Promise<void>): Promise<void> => {
      for (let trial = 0; trial < trials; trial++) {
        const placing = stage.place(plain(name, manner()))
        await pause(chance.whole(0, 60))
        await upset(stage, trial)
        await placing
        await pause(chance.whole(0, 1_000))
      }
      await settle(stage, stage.placed, settleMillis)
    }
    const stream = (action: string) => (at: Stage) => at.control<void>("POST", "/stream", { action })
    await during("the stream is cut", stream("cut"))
    await during("the stream is closed without notice", stream("close"))
    await during("the stream announces its end", stream("shutdown"))
    await during("the stream falls silent", stream("silence"))
    const limits = (status: number) => (at: Stage) => at.control<void>("POST", "/limits", { status, millis: 1_000 })
    await during("429 with Retry-After", limits(429))
    await during("418, a ban", limits(418))
    await during("403 to everybody", limits(403))
    const clock = (millis: number) => (at: Stage, trial: number) =>
      at.control<void>("POST", "/clock", { offsetMillis: trial % 2 === 0 ? millis : 0 })
    await during("the exchange's clock steps 3 s ahead, or back again", clock(3_000))
    await during("the exchange's clock steps 6 s back, or ahead again", clock(-6_000))
    await during("the exchange's clock steps by up to 1 s", (at) => clock(chance.whole(0, 2_000) - 1_000)(at, 0))
    await clock(0)(stage, 0)
    for (const when of ["arrived", "written"] as const) {
      for (let trial = 0; trial < trials; trial++) {
        const fault = `the exchange dies, ${when === "arrived" ? "before" : "after"} it has written the order down`
        const crash = {
          path: "/faults",
          body: { on: "POST /api/v3/order", kind: "crash", when, clientOrderId: "CLIENT" }
        } as const
        await stage.place({ fault, manner: manner(), controls: [crash] })
        const end = Date.now() + 10_000
        while (stage.exchangeIsRunning && Date.now() < end) await pause(5)
        await stage.restartExchange()
      }
    }
    await settle(stage, stage.placed, settleMillis)
    await byFault(stage, stage.placed)
    await reset(stage, chance)
    await verified(stage, "exchange")
  })

/** Everything is gone, under orders that rest and orders in doubt: none may be sent again. */
const reset = async (stage: Stage, chance: Chance): Promise<void> => {
  const before = stage.placed.length
  const unanswered = {
    path: "/faults",
    body: { on: "POST /api/v3/order", kind: "answerLost", clientOrderId: "CLIENT" }
  } as const
  await inTurns(
    // Some come to the exchange only after it, and are none of its trials.
    Array.from({ length: 2 * trials }, (_, n) => n),
    (n) =>
      stage.place(
        { fault: "the testnet is reset", manner: "resting", controls: n % 2 === 0 ? [unanswered] : [] },
        `reset-${n}`
      )
  )
  await pause(chance.whole(100, 400))
  const { life } = await stage.ledger()
  await stage.control("POST", "/reset")
  const orders = stage.placed.slice(before)
  const { orders: entries } = await stage.ledger()
  const livesOf = ({ clientOrderId }: Placed) =>
    new Set(entries.filter((entry) => entry.clientOrderId === clientOrderId).map((entry) => entry.life))
  // Whoever reached the exchange only after it belongs to the new life, and rests there.
  const lost = orders.filter((order) => livesOf(order).has(life))
  const end = Date.now() + settleMillis
  let open = lost.length
  while (open > 0 && Date.now() < end) {
    await pause(250)
    open = 0
    for (const order of lost) if (["PENDING", "EXECUTING"].includes((await stage.view(order))?.status ?? "")) open += 1
  }
  await settle(stage, orders, settleMillis)
  const { orders: all } = await stage.ledger()
  const ids = new Set(lost.map(({ clientOrderId }) => clientOrderId))
  const again = all.filter((entry) => entry.life > life && ids.has(entry.clientOrderId))
  report(
    "the testnet is reset",
    lost.length >= trials && open === 0 && again.length === 0,
    `${lost.length} trials, ${open} without an end, ${again.length} sent again to the new life`
  )
}

/** Nexus dies by kill -9 at each point of an order's way, with others on theirs. */
const crashes = () =>
  onStage("crashes", "", async (stage, chance) => {
    for (const [point, words] of Object.entries(crashPoints)) {
      let died = 0
      // A market that moves may fill at once what should have been filled in parts: then that trial is made again.
      for (let trial = 0; died < trials && trial < trials * 2; trial++) {
        const id = `${point}-${trial}`
        await stage.start({ point, id })
        const others = Array.from({ length: chance.whole(1, 4) }, (_, n) =>
          stage.place(plain("beside a crash", chance.one(["market", "crossing", "immediate"] as const)), `${id}.${n}`)
        )
        const held = {
          path: "/faults",
          body: { on: "POST /api/v3/order", kind: "answerLate", millis: 1_500, clientOrderId: "CLIENT" }
        } as const
        const manner = point === "midFills" ? "partly" : chance.one(["market", "crossing", "resting"] as const)
        await stage.place({ fault: `dies ${words}`, manner, controls: point === "afterSend" ? [held] : [] }, id)
        if (await stage.dies(deathMillis)) died += 1
        else await stage.stop("SIGKILL")
        await Promise.all(others)
      }
      report(`it did die ${words}`, died === trials, `${died} of ${trials} times`)
    }
    await stage.start()
    await settle(stage, stage.placed, settleMillis)
    await byFault(stage, stage.placed)
    await verified(stage, "crashes")
  })

/** A trader dies by kill -9 at each point of a replacement, between its halves too; the next one settles both orders. */
const replacements = () =>
  onStage("replacements", "", async (stage, chance) => {
    const dead: Array<Dead> = []
    const all = points.flatMap((point, kind) =>
      Array.from({ length: trials }, (_, n) => ({ point, id: `${kind}-${n}` }))
    )
    const die = async ({ id, point }: (typeof all)[number]) => {
      dead.push(await replaceAndDie(stage, chance, point, id))
    }
    await inTurns(shuffled(chance, all), die, traders)
    const groups = Array.from(Map.groupBy(dead, ({ point }) => point))
    const told = await Promise.all(groups.map(([, mine]) => settleAll(stage, mine)))
    const { orders: entries } = await stage.ledger()
    for (const [at, [{ words }, mine]] of groups.entries()) {
      const faults = mine.flatMap((one, n) => contradictionsOf(one, told[at]![n]!, entries))
      const missed = mine.filter(({ died }) => !died).length
      const ends = Map.groupBy(told[at]!, ({ next, old }) => `${old.is} ${old.status} and ${next.is}`)
      report(
        `a replacement that dies ${words}`,
        faults.length + missed === 0,
        `${mine.length} trials, ${Array.from(ends, ([end, { length }]) => `${length} ${end}`).join(", ")}${missed > 0 ? `; ${missed} did not die there` : ""}${faults.length > 0 ? `; ${faults.slice(0, 3).join("; ")}` : ""}`
      )
    }
  })

const market = (fault: string, controls: Trial["controls"]): Trial => ({ fault, manner: "market", controls })
const on = "POST /api/v3/order"
const strike = (body: object): Trial["controls"][number] => ({
  path: "/faults",
  body: { on, clientOrderId: "CLIENT", ...body }
})

/** The judge must find two executions of one order, or it could not have found any above. */
const pillar = (without: string, words: string, act: (stage: Stage) => Promise<void>) =>
  onStage(`without-${without}`, without, async (stage) => {
    await act(stage)
    await settle(stage, stage.placed, settleMillis)
    const { twice } = await judge(stage, stage.placed)
    report(
      `${words}: the judge condemns it`,
      twice > 0,
      `${twice} of ${stage.placed.length} orders executed more than once`
    )
  })

const pillars = async (): Promise<void> => {
  await replacementPillar()
  await pillar("journal", "without journal-first", async (stage) => {
    for (let trial = 0; trial < 3; trial++) {
      await stage.start({ point: "afterAnswer", id: `once-${trial}` })
      await stage.place(market("sent before it is written down", []), `once-${trial}`)
      await stage.dies(settleMillis)
    }
    await stage.start()
  })
  await pillar("wait", "without the wait", async (stage) => {
    await stage.start()
    // One after the other: together they open the circuit, and then nothing is asked before the exchange has accepted.
    for (let trial = 0; trial < 3; trial++) {
      await stage.place(market("accepted later", [strike({ kind: "unavailable", done: { afterMillis: 4_000 } })]))
      await settle(stage, stage.placed, settleMillis)
    }
    // Their orders have ended by the second attempt; the first is accepted only now.
    await pause(6_000)
  })
  await pillar("corroboration", "without corroboration", async (stage) => {
    await stage.start()
    for (let trial = 0; trial < 5; trial++) {
      await stage.place(
        market("never shown by GET order", [
          strike({ kind: "answerLost" }),
          { path: "/reads", body: { orders: "forever", clientOrderId: "CLIENT" } },
          { path: "/stream", body: { action: "drop", times: "always", clientOrderId: "CLIENT" } }
        ])
      )
    }
  })
}

const replacementPillar = () =>
  onStage("replacement-without-wait", "", async (stage, chance) => {
    const dead: Array<Dead> = []
    for (let n = 0; n < 5; n++) dead.push(await replaceAndDie(stage, chance, lateSecondHalf, `early-${n}`))
    const told = await settleAll(stage, dead, "wait")
    await pause(25_000)
    const { orders: entries } = await stage.ledger()
    const wrong = dead.filter((one, n) => contradictionsOf(one, told[n]!, entries).length > 0).length
    report(
      "a replacement without the wait: the judge condemns it",
      wrong > 0,
      `${wrong} of ${dead.length} took a new order that came for one that never did`
    )
  })

/** An acceptance later than δ after the deadline: nothing can be promised then, and this shows it. */
const margins = () =>
  onStage("margins", "", async (stage) => {
    await stage.start()
    const done = { afterDeadlineMillis: 20_000 }
    await stage.place(market("accepted 20 s after its time, δ is 1 s", [strike({ kind: "unavailable", done })]))
    await pause(30_000)
    await settle(stage, stage.placed, settleMillis)
    const { twice } = await judge(stage, stage.placed)
    report(
      "beyond the margins",
      twice === 1,
      "an exchange that accepts an order 20 s after its time executes it twice: that it does not is what is assumed of it"
    )
  })

const parts: Readonly<Record<string, () => Promise<void>>> = {
  faults: orderFaults,
  exchange: exchangeFaults,
  crashes: async () => {
    await crashes()
    await replacements()
  },
  replacements,
  pillars,
  margins
}
const begun = Date.now()
console.log(
  `seed ${seed}, ${trials} trials of each of ${kinds.length} faults and ${Object.keys(crashPoints).length + points.length} crash points`
)
for (const [name, part] of Object.entries(parts)) {
  // Part of the crashes when all is run.
  if (values.only === name || (values.only === "" && name !== "replacements")) await part()
}
console.log(`${passed} passed, ${failed} failed, 0 skipped, in ${((Date.now() - begun) / 60_000).toFixed(1)} min`)
process.exitCode = failed === 0 ? 0 : 1
