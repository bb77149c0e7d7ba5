/** What another program with the same keys does at the simulated exchange. */
import { createHmac } from "node:crypto"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { Simulator } from "../layers.ts"

/** With our keys and none of our code. */
export const byHand = (request: string, params: Readonly<Record<string, string>>) =>
  Effect.flatMap(Simulator, ({ url }) =>
    Effect.promise(async () => {
      const [method = "", path = ""] = request.split(" ")
      const { serverTime } = (await (await fetch(`${url}/api/v3/time`)).json()) as { readonly serverTime: number }
      const form = new URLSearchParams({ ...params, timestamp: `${serverTime}` }).toString()
      const signature = createHmac("sha256", "secret-of-the-tests").update(form).digest("hex")
      const response = await fetch(`${url}${path}?${form}&signature=${signature}`, {
        method,
        headers: { "x-mbx-apikey": "key-of-the-tests" }
      })
      assert.strictEqual(response.status, 200, await response.clone().text())
      return (await response.json()) as { readonly orderId: number; readonly transactTime: number }
    })
  )
