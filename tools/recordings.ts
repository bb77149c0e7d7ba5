/**
 * `node tools/recordings.ts …`: what real answers of the exchange are like, written down for the simulator to be held to.
 *
 *     add KIND FILE --repository R --path P --commit C --taken DATE [--quoted-numbers]
 *         FILE has one answer a line. Only their shape is kept.
 *     document KIND FILE --url URL
 *         The same for samples of the exchange's documentation.
 *     record REST WEBSOCKET_API STREAMS
 *         Asks the exchange itself, with the keys in BINANCE_TESTNET_API_KEY and _SECRET (HMAC), and keeps what it hears.
 *         Trades: for the testnet (https://testnet.binance.vision, wss://ws-api.testnet.binance.vision/ws-api/v3,
 *         wss://stream.testnet.binance.vision) and for simulators, never for an account with money.
 *
 * `--into FOLDER` writes somewhere else than where the tests look.
 */
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { askEverything } from "./recordings/scenario.ts"
import { folder, readKind, withRecording, writeKind, type Source } from "./recordings/files.ts"
import { shapeOf } from "./recordings/shape.ts"

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: {
    repository: { type: "string" },
    path: { type: "string" },
    commit: { type: "string" },
    taken: { type: "string" },
    url: { type: "string" },
    into: { type: "string", default: folder },
    "quoted-numbers": { type: "boolean", default: false }
  }
})

const given = (name: "repository" | "path" | "commit" | "taken" | "url"): string => {
  const value = options[name]
  if (value === undefined) throw new Error(`--${name} is missing`)
  return value
}

const answersOf = (file: string): ReadonlyArray<unknown> =>
  readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as unknown)

const keep = (kind: string, source: Source, answers: ReadonlyArray<unknown>): void => {
  const fields = shapeOf(answers, { quotedNumbers: options["quoted-numbers"] })
  writeKind(withRecording(readKind(kind, options.into), { source, fields }), options.into)
}

/** Orders are placed, so that only exchanges without money are asked. */
const isHarmless = (url: string): boolean =>
  /^(127\.0\.0\.1|localhost|\[::1\]|([\w-]+\.)*testnet\.binance\.vision)$/.test(new URL(url).hostname)

const run = async (): Promise<void> => {
  const [command = "", first = "", second = "", third = ""] = positionals
  if (command === "add") {
    const source = {
      repository: given("repository"),
      path: given("path"),
      commit: given("commit"),
      taken: given("taken")
    }
    return keep(first, source, answersOf(second))
  }
  if (command === "document") {
    const fields = shapeOf(answersOf(second))
    const documentation = { source: { documented: given("url") }, fields }
    return writeKind({ ...readKind(first, options.into), documentation }, options.into)
  }
  if (command !== "record") throw new Error("add, document or record?")
  if (![first, second, third].every(isHarmless)) throw new Error("orders are placed: not where money may be")
  const heard = await askEverything({
    rest: first,
    webSocketApi: second,
    streams: third,
    apiKey: process.env["BINANCE_TESTNET_API_KEY"] ?? "",
    apiSecret: process.env["BINANCE_TESTNET_API_SECRET"] ?? ""
  })
  const taken = new Date().toISOString().slice(0, 10)
  for (const [kind, answers] of heard) keep(kind, { live: new URL(first).host, taken }, answers)
  console.log(`${heard.size} kinds heard`)
}

await run()
