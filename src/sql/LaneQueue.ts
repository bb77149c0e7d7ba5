/**
 * The commands that wait for one lane: what the next call takes of them, and what has to wait for the one after.
 *
 * Commands of the engine itself go first: they finish what is in flight.
 */

/** What a queue needs to know of a command. */
export interface Queued {
  readonly streamId: string
  /** How much it adds to a call. */
  readonly chars: number
}

export type Priority = "engine" | "intake"

/** What a call has room for yet. */
export interface Room {
  commands: number
  chars: number
}

export interface LaneQueue<T> {
  /** False: the queue is full and nothing was queued. */
  readonly offer: (entry: T, priority: Priority) => boolean
  /** Moves what fits from the queue into `batch`; a batch that is empty takes one command of any size. */
  readonly takeInto: (batch: Array<T>, room: Room) => void
  readonly takeAll: () => ReadonlyArray<T>
  readonly size: () => number
}

/** `limit` is that of each of the two priorities. */
export const makeLaneQueue = <T extends Queued>(limit: number): LaneQueue<T> => {
  let engine: Array<T> = []
  let intake: Array<T> = []

  const takeFrom = (queue: Array<T>, batch: Array<T>, room: Room, streams: Set<string>): Array<T> => {
    const deferred: Array<T> = []
    let index = 0
    for (; index < queue.length && room.commands > 0; index++) {
      const entry = queue[index]!
      // Two commands of one stream in one call would collide: the second waits for the next call, and so does
      // everything behind it on that stream.
      if (streams.has(entry.streamId)) {
        deferred.push(entry)
        continue
      }
      if (batch.length > 0 && entry.chars > room.chars) {
        // What is smaller and came later does not go ahead of it, or it might wait for ever.
        room.commands = 0
        break
      }
      room.commands -= 1
      room.chars -= entry.chars
      streams.add(entry.streamId)
      batch.push(entry)
    }
    return index === queue.length ? deferred : [...deferred, ...queue.slice(index)]
  }

  return {
    offer: (entry, priority) => {
      const queue = priority === "engine" ? engine : intake
      if (queue.length >= limit) return false
      queue.push(entry)
      return true
    },
    takeInto: (batch, room) => {
      const streams = new Set<string>()
      engine = takeFrom(engine, batch, room, streams)
      intake = takeFrom(intake, batch, room, streams)
    },
    takeAll: () => {
      const all = [...engine, ...intake]
      engine = []
      intake = []
      return all
    },
    size: () => engine.length + intake.length
  }
}
