/**
 * Proof: the exchange's clock is known within its error bound, however wrong and restless it is.
 *
 * The simulator, a process of its own, is 3 s ahead at first, drifts by 200 ppm all the time and is set every 22
 * seconds, by up to 6 s to either side. Signed questions go on. In every sample the true offset lies within the bound
 * and the pessimistic time is not ahead of the exchange's, but for the time from a step to the first measurement after
 * it, which nobody can know better; and of the questions after a step at most the first is refused with -1021.
 *
 *   node tools/proofs/clock.ts [--minutes 10]
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Effect, Layer, Redacted, References } from "effect"
import { BinanceClient } from "../../src/binance/BinanceClient.ts"
import { Breaker } from "../../src/binance/Breaker.ts"
import { isClockRefusal } from "../../src/binance/classify.ts"
import { Gateway } from "../../src/binance/Gateway.ts"
import { RateLimits } from "../../src/binance/RateLimits.ts"
import { Requests } from "../../src/binance/Requests.ts"
import { resyncMillis, ServerTime } from "../../src/binance/ServerTime.ts"
import { hmacSigner } from "../../src/binance/sign.ts"
import { Transport } from "../../src/binance/Transport.ts"
import { freePort } from "../freePort.ts"
import { keys, Program } from "./programs.ts"

const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" } } })
const minutes = Number(values.minutes)
const driftPpm = 200
// No multiple of the time between measurements, so that steps come at all distances from the next one.
const stepEveryMillis = 22_000
/** What the exchange's clock is set to, one after the other. */
const offsets = [-3_000, 3_000, 2_500, -500, 0, -2_999, 400, 3_000]
const sampleEveryMillis = 100
const askEveryMillis = 200
/** Our clock and what is asked of it are in whole milliseconds, rounded down. */
const readingMillis = 1

const folder = mkdtempSync(join(tmpdir(), "nexus-clock-"))
const [port, controlPort] = [await freePort(), await freePort()]
const baseUrl = `http://127.0.0.1:${port}`
const simulator = new Program(
  ["simulate-exchange", "--port", `${port}`, "--control-port", `${controlPort}`, "--seed", "7"],
  { BINANCE_TESTNET_API_KEY: keys.apiKey, BINANCE_TESTNET_API_SECRET: keys.apiSecret },
  join(folder, "exchange.log"),
  `${baseUrl}/api/v3/ping`
)

/** The exchange's clock as it was told to run: the judge knows it without asking. */
let clock = { offsetMillis: 0, since: Date.now() }
const trueOffset = (): number => clock.offsetMillis + ((Date.now() - clock.since) * driftPpm) / 1e6

const setClock = async (change: object): Promise<void> => {
  const response = await fetch(`http://127.0.0.1:${controlPort}/clock`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(change)
  })
  if (!response.ok) throw new Error(`the control port answered ${response.status}: ${await response.text()}`)
  const view = (await response.json()) as { readonly offsetMillis: number }
  clock = { offsetMillis: view.offsetMillis, since: Date.now() }
}

const layers = BinanceClient.layer.pipe(
  Layer.provideMerge(
    Requests.layer({
      keys: { apiKey: Redacted.make(keys.apiKey), signer: hmacSigner(Redacted.make(keys.apiSecret)) },
      recvWindowMillis: 5_000
    })
  ),
  Layer.provideMerge(ServerTime.layer),
  Layer.provideMerge(Gateway.layer),
  Layer.provideMerge(
    Layer.mergeAll(
      RateLimits.layer,
      Breaker.layer,
      Transport.layer({ baseUrl, timeoutMillis: 5_000, maxConnections: 8 })
    )
  ),
  Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Error"))
)

const failures: Array<string> = []
const judge = (isGood: boolean, what: string): void => {
  console.log(`${isGood ? "  ok  " : "  FAIL"} ${what}`)
  if (!isGood) failures.push(what)
}

const run = Effect.gen(function* () {
  const client = yield* BinanceClient
  const time = yield* ServerTime
  let stepAt = 0
  let refusedSinceStep = 0
  // Measured after the last step, as far as the judge knows: from then on the bound must hold.
  let isMeasured = false
  let measurements = 0
  const refusedPerStep: Array<number> = []
  const blindMillis: Array<number> = []
  const errors: Array<number> = []
  const bounds: Array<number> = []
  let outside = 0
  let tooEarly = 0
  let questions = 0
  let others = 0

  const measuredSince = (begun: number) => {
    measurements += 1
    if (isMeasured || begun < stepAt) return
    isMeasured = true
    blindMillis.push(Date.now() - stepAt)
  }

  const keep = Effect.gen(function* () {
    for (;;) {
      const begun = Date.now()
      yield* time.sync
      measuredSince(begun)
      yield* Effect.sleep(resyncMillis)
    }
  })

  const ask = Effect.gen(function* () {
    for (;;) {
      const begun = Date.now()
      const answer = yield* Effect.result(client.queryOrder({ symbol: "BTCUSDT", clientOrderId: "no-such-order" }))
      questions += 1
      if (answer._tag === "Failure" && isClockRefusal(answer.failure.reason)) {
        if (begun >= stepAt) refusedSinceStep += 1
        // The client has measured before it told us.
        measuredSince(begun)
      } else if (answer._tag === "Failure" && answer.failure.reason._tag !== "OrderUnknown") others += 1
      yield* Effect.sleep(askEveryMillis)
    }
  })

  const watch = Effect.gen(function* () {
    for (;;) {
      if (isMeasured) {
        // Read between two looks at our own clock: the judge may be held up, and the truth lies between them.
        const earliest = Date.now() + trueOffset()
        const [now, bound, pessimistic] = [yield* time.now, yield* time.errorBound, yield* time.pessimisticNow]
        const latest = Date.now() + trueOffset() + readingMillis
        errors.push(Math.max(0, earliest - now - readingMillis, now - latest))
        bounds.push(bound)
        if (now < earliest - bound - readingMillis || now > latest + bound) outside += 1
        if (pessimistic > latest) tooEarly += 1
      }
      yield* Effect.sleep(sampleEveryMillis)
    }
  })

  const steps = Effect.gen(function* () {
    const end = Date.now() + minutes * 60_000
    for (let count = 0; Date.now() < end; count++) {
      yield* Effect.sleep(Math.min(stepEveryMillis, end - Date.now()))
      if (Date.now() >= end) break
      refusedPerStep.push(refusedSinceStep)
      refusedSinceStep = 0
      isMeasured = false
      stepAt = Date.now()
      yield* Effect.promise(() => setClock({ offsetMillis: offsets[count % offsets.length] }))
      // Questions that began before the clock was set are not held against it.
      stepAt = Date.now()
      if (count % 10 === 9) console.log(`${count + 1} steps, ${questions} questions, ${errors.length} samples`)
    }
    refusedPerStep.push(refusedSinceStep)
  })

  yield* Effect.promise(() => setClock({ driftPpm }))
  yield* Effect.promise(() => setClock({ offsetMillis: 3_000 }))
  stepAt = Date.now()
  yield* Effect.raceFirst(steps, Effect.all([keep, ask, watch], { concurrency: "unbounded", discard: true }))

  const most = (numbers: ReadonlyArray<number>) => numbers.reduce((top, one) => Math.max(top, one), 0)
  const mean = (numbers: ReadonlyArray<number>) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length
  console.log(
    `${refusedPerStep.length - 1} steps and ${driftPpm} ppm in ${minutes} min: ${questions} questions, ${measurements} measurements; ` +
      `error mean ${mean(errors).toFixed(2)} ms, greatest ${most(errors).toFixed(2)} ms; bound mean ${mean(bounds).toFixed(2)} ms, greatest ${most(bounds)} ms`
  )
  judge(errors.length > 0 && outside === 0, `samples outside the bound: ${outside} of ${errors.length}`)
  judge(tooEarly === 0, `samples whose pessimistic time is ahead of the exchange: ${tooEarly}`)
  judge(
    most(refusedPerStep) <= 1,
    `-1021 after a step: at most ${most(refusedPerStep)}, ${refusedPerStep.reduce((a, b) => a + b, 0)} in all`
  )
  judge(
    most(blindMillis) <= resyncMillis + 1_000,
    `a step is noticed after ${Math.round(most(blindMillis))} ms at most`
  )
  judge(others === 0, `other failures of questions: ${others}`)
})

try {
  await simulator.start()
  await Effect.runPromise(Effect.scoped(Effect.provide(run, layers)))
} finally {
  await simulator.stop("SIGTERM")
}
console.log(failures.length === 0 ? "PASS" : `FAIL: ${failures.join("; ")}`)
if (failures.length === 0) rmSync(folder, { recursive: true, force: true })
else console.log(`logs in ${folder}`)
process.exitCode = failures.length === 0 ? 0 : 1
