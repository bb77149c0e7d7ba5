import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import { afterAll, assert, it } from "@effect/vitest"
import { amount } from "../../src/simulator/Amount.ts"
import { Exchange } from "../../src/simulator/Exchange.ts"
import { Journal } from "../../src/simulator/Journal.ts"
import { defaultBalances, symbolsOf } from "../../src/simulator/Market.ts"
import { marketOf, place, startMillis } from "./exchangeForTests.ts"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "nexus-journal-"))
const file = path.join(folder, "journal.ndjson")
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

const makeExchange = (): Exchange =>
  new Exchange({ symbols: symbolsOf("off"), seed: 7, clock: () => startMillis, balances: defaultBalances })

/** All that a restart has to bring back. */
const stateOf = (exchange: Exchange): string => JSON.stringify([...exchange.snapshot()])

interface Step {
  /** How long the file is once the entry is written. */
  readonly bytes: number
  readonly state: string
}

/** Some commands of every kind, and what the exchange was after each entry. */
const record = (): { readonly steps: ReadonlyArray<Step>; readonly entriesOf: ReadonlyArray<number> } => {
  const exchange = makeExchange()
  const journal = Journal.open(folder)
  exchange.fund()
  journal.begin(1_234_567, exchange.snapshot())
  let bytes = fs.statSync(file).size
  const steps: Array<Step> = [{ bytes, state: stateOf(exchange) }]
  exchange.open()
  exchange.journalTo((entry) => {
    journal.append(entry)
    bytes += Buffer.byteLength(JSON.stringify(entry)) + 1
    steps.push({ bytes, state: stateOf(exchange) })
  })
  const btc = marketOf(exchange)
  const commands: ReadonlyArray<() => unknown> = [
    () => place(exchange, { price: "60000", quantity: "0.01", id: "rests" }),
    () => place(exchange, { quantity: "0.02", id: "fills" }),
    () => exchange.cancel(btc, { orderId: 1, clientOrderId: undefined }, "cancel", undefined),
    () => place(exchange, { price: "60000", quantity: "0.01", tif: "IOC", id: "expires" }),
    () => place(exchange, { price: "64000", quantity: "0.03", id: "met" }),
    () => exchange.moveMarket(btc, amount("63000")),
    () => exchange.reset(),
    () => place(exchange, { quantity: "0.04", id: "after" })
  ]
  const entriesOf = commands.map((command) => {
    const before = steps.length
    command()
    return steps.length - before
  })
  journal.close()
  return { steps, entriesOf }
}

it("a journal that a kill tore anywhere gives the exchange as it was after the last whole write", () => {
  const { entriesOf, steps } = record()
  const whole = fs.readFileSync(file)
  const header = whole.indexOf(10) + 1
  const load = (bytes: number): string => {
    fs.writeFileSync(file, whole.subarray(0, bytes))
    const journal = Journal.open(folder)
    const exchange = makeExchange()
    const uid = journal.read((entry) => exchange.load(entry))
    assert.strictEqual(uid, 1_234_567)
    journal.close()
    return stateOf(exchange)
  }
  // Around each end of a write, and here and there within.
  const cuts = steps.flatMap(({ bytes }) => [bytes - 2, bytes - 1, bytes, bytes + 1])
  for (let cut = header; cut < whole.length; cut += 97) cuts.push(cut)

  assert.strictEqual(steps.at(-1)!.bytes, whole.length)
  // One write a command: there is no such thing as half of it.
  assert.deepStrictEqual(
    entriesOf,
    entriesOf.map(() => 1)
  )
  for (const cut of cuts) {
    if (cut < steps[0]!.bytes || cut > whole.length) continue
    const last = steps.findLast(({ bytes }) => bytes <= cut)!
    assert.strictEqual(load(cut), last.state, `cut at ${cut} of ${whole.length}`)
  }
})
