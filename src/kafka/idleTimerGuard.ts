/**
 * Stops the timer loop of kafkajs 2.2.4: an idle request queue re-arms a timer for a moment that is
 * already past, some 2,700 times a second. With nothing pending and no throttling there is nothing
 * to check; the next request sends itself.
 */
import { insideKafkajs } from "./insideKafkajs.ts"

interface RequestQueue {
  readonly pending: ReadonlyArray<unknown>
  readonly throttledUntil: number
}

let installed = false

/** Before the first client is built. Repeating it does nothing. */
export const installIdleTimerGuard = (): void => {
  if (installed) return
  const { prototype } = insideKafkajs("network/requestQueue/index.js") as {
    readonly prototype: { scheduleCheckPendingRequests: (this: RequestQueue) => void }
  }
  const original = prototype.scheduleCheckPendingRequests
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
    if (this.pending.length === 0 && this.throttledUntil <= Date.now()) return
    original.call(this)
  }
  installed = true
}
