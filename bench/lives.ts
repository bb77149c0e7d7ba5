/** What the log says of orders afterwards: when each stage of their lives was recorded. */
import type { Load } from "./load.ts"

/** Epoch milliseconds. */
export interface Life {
  readonly scheduled: number
  readonly answered: number
  readonly placed: number
  readonly started: number
  readonly completed: number
}

interface Recorded {
  readonly type: string
  readonly recorded_at: string
}

// Read after the measurement, so this only has to be gentle.
const readers = 8

/** Orders that did not end COMPLETED are only counted. */
export const livesOf = async (
  app: string,
  orders: Load["orders"]
): Promise<{ readonly lives: ReadonlyArray<Life>; readonly others: number }> => {
  const lives: Array<Life> = []
  let others = 0
  let next = 0
  const reader = async (): Promise<void> => {
    while (next < orders.length) {
      const [id, scheduled, answered] = orders[next++]!
      const response = await fetch(`${app}/api/v1/orders/${id}/events`)
      if (!response.ok) throw new Error(`the events of ${id} were answered ${response.status}`)
      const events = (await response.json()) as ReadonlyArray<Recorded>
      const at = (type: string): number => Date.parse(events.find((event) => event.type === type)?.recorded_at ?? "")
      const life = {
        scheduled,
        answered,
        placed: at("OrderPlaced"),
        started: at("SubmissionStarted"),
        completed: at("OrderCompleted")
      }
      if (Number.isNaN(life.completed)) others += 1
      else lives.push(life)
    }
  }
  await Promise.all(Array.from({ length: readers }, reader))
  return { lives, others }
}
