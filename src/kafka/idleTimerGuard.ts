/**
 * Stops the timer loop of kafkajs 2.2.4: an idle request queue re-arms a timer for a moment that is
 * already past, some 2,700 times a second. With nothing pending and no throttling there is nothing
 * to check; the next request sends itself.
 *
 * Reaches into the package, hence the exact version: another one must be looked at by people first.
 */
import { createRequire } from "node:module"

interface RequestQueue {
  readonly pending: ReadonlyArray<unknown>
  readonly throttledUntil: number
}

const guardedVersion = "2.2.4"
const require = createRequire(import.meta.url)
let installed = false

/** Before the first client is built. Repeating it does nothing. */
export const installIdleTimerGuard = (): void => {
  if (installed) return
  const { version } = require("kafkajs/package.json") as { readonly version: string }
  if (version !== guardedVersion) {
    throw new Error(`kafkajs is ${version}, but its idle timers are known and guarded for ${guardedVersion} only`)
  }
  const { prototype } = require("kafkajs/src/network/requestQueue/index.js") as {
    readonly prototype: { scheduleCheckPendingRequests: (this: RequestQueue) => void }
  }
  const original = prototype.scheduleCheckPendingRequests
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
    if (this.pending.length === 0 && this.throttledUntil <= Date.now()) return
    original.call(this)
  }
  installed = true
}
