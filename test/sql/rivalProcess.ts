/** A process of its own that fights over the streams: `rivalProcess.ts URL ROUNDS STREAM…`; prints what it was told. */
import { Effect } from "effect"
import { rivalWriter } from "./rivalWriters.ts"
import { storeOn } from "./storedOrders.ts"

const [url = "", rounds = "0", ...streams] = process.argv.slice(2)

const told = await Effect.runPromise(
  Effect.provide(
    Effect.forEach([1, 2, 3, 4], () => rivalWriter(streams, Number(rounds)), { concurrency: "unbounded" }),
    storeOn(url, { node: "rival" })
  )
)
process.stdout.write(JSON.stringify(told))
