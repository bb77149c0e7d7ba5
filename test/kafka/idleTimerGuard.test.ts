/** The guard of kafkajs' idle timers, which reaches into the package and so trusts one version of it. */
import { assert, describe, it } from "@effect/vitest"
import { createRequire } from "node:module"
import { installIdleTimerGuard } from "../../src/kafka/idleTimerGuard.ts"

const require = createRequire(import.meta.url)

describe("the guard of idle timers", () => {
  // Before it is installed for this process by the next one.
  it("refuses another version of kafkajs than the one it was made for", () => {
    const manifest = require("kafkajs/package.json") as { version: string }
    const { version } = manifest
    manifest.version = "2.2.5"
    try {
      assert.throws(installIdleTimerGuard, "kafkajs is 2.2.5, but what its guards reach into is known for 2.2.4 only")
    } finally {
      manifest.version = version
    }
  })

  it("leaves timers to queues that have something to wait for", () => {
    installIdleTimerGuard()
    const { prototype } = require("kafkajs/src/network/requestQueue/index.js") as {
      readonly prototype: { readonly scheduleCheckPendingRequests: (this: Queue) => void }
    }
    const armedFor = (pending: ReadonlyArray<unknown>, throttledUntil: number) => {
      const queue: Queue = { pending, throttledUntil, throttleCheckTimeoutId: null }
      prototype.scheduleCheckPendingRequests.call(queue)
      const isArmed = queue.throttleCheckTimeoutId !== null
      clearTimeout(queue.throttleCheckTimeoutId ?? undefined)
      return isArmed
    }

    assert.isFalse(armedFor([], -1))
    assert.isTrue(armedFor(["a request"], -1))
    assert.isTrue(armedFor([], Date.now() + 60_000))
  })
})

interface Queue {
  readonly pending: ReadonlyArray<unknown>
  readonly throttledUntil: number
  throttleCheckTimeoutId: NodeJS.Timeout | null
}
