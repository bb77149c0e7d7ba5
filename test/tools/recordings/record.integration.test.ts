import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { Effect } from "effect"
import { readKinds } from "../../../tools/recordings/files.ts"
import { credentials, startSimulator } from "../../simulator/client.ts"
import { neverHeard } from "../../simulator/explained.ts"
import { folder } from "../../simulator/spawned.ts"

const run = promisify(execFile)
const tool = join(import.meta.dirname, "../../../tools/recordings.ts")
const keys = { BINANCE_TESTNET_API_KEY: credentials.apiKey, BINANCE_TESTNET_API_SECRET: credentials.apiSecret }

/** Not with an HMAC key, and not without a hand on the exchange. */
const beyondKeys = ["ws.session.logon", "stream.serverShutdown"]

describe("tools/recordings.ts", () => {
  it.live("records whatever exchange it is pointed at, as the files that the tests read", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ tickMs: 50 })
      const into = yield* folder
      const streams = `ws://127.0.0.1:${simulator.port}`
      const args = [tool, "record", simulator.url, simulator.wsApiUrl, streams, "--into", into]

      yield* Effect.promise(() => run(process.execPath, args, { env: { ...process.env, ...keys } }))

      const recorded = readKinds(into)
      const known = readKinds().map(({ kind }) => kind)
      const never = [...Object.keys(neverHeard), ...beyondKeys]
      assert.deepStrictEqual(
        recorded.map(({ kind }) => kind),
        known.filter((kind) => !never.includes(kind))
      )
      for (const { recordings } of recorded) {
        assert.deepInclude(recordings[0]?.source, { live: new URL(simulator.url).host })
      }
    })
  )

  it.live("does not trade where money is", () =>
    Effect.gen(function* () {
      const hosts = ["https://api.binance.com", "wss://ws-api.binance.com/ws-api/v3", "wss://stream.binance.com"]

      const error = yield* Effect.flip(Effect.tryPromise(() => run(process.execPath, [tool, "record", ...hosts])))

      assert.include(String(error.cause), "not where money may be")
    })
  )
})
