/**
 * Orders of all kinds at a steady rate, for as long as something else goes on, and what is waited for afterwards:
 * until nothing is open, in doubt or owed.
 */
import { pause } from "../programs.ts"
import { type Intent, Traffic } from "../soak/Traffic.ts"

/** recvWindow, δ and staleness of a simulator, and what is promised after the last of them. */
export const inTimeMillis = 5_000 + 1_000 + 1_000 + 30_000
/** A machine that is starved is late, and that is told; after so long it is never. */
const patienceMillis = inTimeMillis + 60_000
const sliceSeconds = 5

export interface Loaded {
  readonly sent: number
  readonly surprises: ReadonlyArray<string>
  readonly turnedAway: number
  readonly p99: number
}

export interface LoadOptions {
  readonly api: string
  readonly exchange: string
  /** Begins each order's id. */
  readonly name: string
  /** Orders per second. */
  readonly rate: number
  readonly seed: number
  /** Takes what was answered; what rested is cancelled at the end. */
  readonly acknowledged: Map<string, Intent>
  readonly isEnough: () => boolean
}

/** Orders at the rate, slice by slice, until told that it is enough and all were answered. */
export const load = async (options: LoadOptions): Promise<Loaded> => {
  const { acknowledged, api, exchange, isEnough, name, rate, seed } = options
  const slices: Array<Traffic> = []
  while (!isEnough()) {
    const slice = new Traffic(api, exchange, seed + slices.length, `${name}-${slices.length}`)
    slices.push(slice)
    await slice.flow(rate, rate * sliceSeconds)
  }
  while (slices.some(({ waiting }) => waiting > 0)) await pause(50)
  for (const intent of slices.flatMap((slice) => [...slice.acknowledged.values()])) {
    if (intent.stays) await cancel(api, intent.id)
    acknowledged.set(intent.id, { ...intent, stays: false })
  }
  const latencies = slices.flatMap((slice) => slice.latencies).toSorted((a, b) => a - b)
  return {
    sent: slices.reduce((sum, slice) => sum + slice.sent, 0),
    surprises: slices.flatMap((slice) => slice.surprises),
    turnedAway: slices.reduce((sum, slice) => sum + [...slice.turnedAway.values()].reduce((all, n) => all + n, 0), 0),
    p99: latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN
  }
}

const cancel = async (api: string, id: string): Promise<void> => {
  for (;;) {
    const response = await fetch(`${api}/api/v1/orders/${id}`, { method: "DELETE" })
    await response.text()
    if (response.status !== 503) return
    await pause(100)
  }
}

/** One of the processes that serve. */
export interface Metered {
  /** Sum of a metric over its labels. */
  readonly figure: (name: string) => Promise<number>
}

/** Until nothing is open, in doubt or owed; how long that took from the end of the fault, or null. */
export const settle = async (replica: Metered, from: number): Promise<number | null> => {
  while (Date.now() - from < patienceMillis) {
    const open = await replica.figure("orders_processing").catch(() => Number.NaN)
    const unknown = await replica.figure("nexus_orders_unknown").catch(() => Number.NaN)
    const owed = await replica.figure("nexus_outbox_backlog").catch(() => Number.NaN)
    if (open === 0 && unknown === 0 && owed === 0) return Date.now() - from
    await pause(200)
  }
  return null
}
