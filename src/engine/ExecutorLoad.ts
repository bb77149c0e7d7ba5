/**
 * What an executor has in hand, for metrics: written by the executor alone, all zero in a process without one.
 */
import { Context, Layer } from "effect"

export class ExecutorLoad extends Context.Service<
  ExecutorLoad,
  {
    /** Orders that wait for a worker or have one. */
    ready: number
    /** Orders that no message had brought and the scan of the log did, since this process started. */
    dueScanHits: number
  }
>()("nexus/engine/ExecutorLoad") {
  static readonly layer = Layer.sync(ExecutorLoad, () => ({ ready: 0, dueScanHits: 0 }))
}
