/**
 * Group commit: one call takes what waits on every lane that is free, 1 to 256 commands, and stores it; no artificial
 * delay. A lane is in one call at a time. The size of a call follows load by itself.
 *
 * A call that was not answered, or whose data PostgreSQL refused, is given to its lanes: each goes on with its own
 * part, beside the others and beside the senders, so that a lane which cannot go on holds up no other. Refused data are
 * halved until the one bad command fails alone. Any other error leaves the outcome open, so the same commands are sent
 * again until an answer comes; the append function knows again what is stored already. Callers do not end that: they
 * leave at their own deadlines. A bug within these loops is treated like a lost answer.
 *
 * The queues are owned by the fibers that `run` starts, and bounded; a full one refuses at once.
 */
import { Cause, Clock, Deferred, Effect, Latch, Random, Result } from "effect"
import { keepRunning } from "./keepRunning.ts"
import type { LaneQueue, Priority, Queued } from "./LaneQueue.ts"
import { makeLaneQueue } from "./LaneQueue.ts"
import { StoreUnavailable } from "./StoreUnavailable.ts"

/** One command in the queue. */
export interface Entry<A, E> extends Queued {
  readonly lane: number
  readonly answer: Deferred.Deferred<A, E>
}

export interface DataRefused {
  readonly _tag: "DataRefused"
  readonly sqlState: string
  readonly detail: string
}

/** Stores commands, which come in ascending order of their lanes; the answers in the order of the commands. */
export type Call<A, E, T extends Entry<A, E>> = (
  commands: ReadonlyArray<T>
) => Effect.Effect<ReadonlyArray<Result.Result<A, E>>, StoreUnavailable | DataRefused>

// Beyond this size one call gains nothing more, and holds its lanes for longer.
const maxCallCommands = 256
// Characters in one call: parsing them stays in milliseconds.
const maxCallChars = 512 * 1024
// Back-off of a call that got no answer: fast enough for a restart of PostgreSQL, slow enough for a long outage.
const firstPauseMillis = 20
const maxPauseMillis = 1_000

export interface Batcher<T> {
  /** False: the queue of its lane is full and nothing was queued. */
  readonly offer: (entry: T, priority: Priority) => boolean
  /** Ends only by interruption, which everybody who waits then shares, and who comes later. */
  readonly run: Effect.Effect<void>
  readonly stats: () => { readonly queued: number; readonly appends: number; readonly calls: number }
  /** When the oldest call in flight was first made, of those that have failed since, for whatever reason; else null. */
  readonly unansweredSince: () => number | null
}

/** One of those that make calls for all lanes. */
interface Sender<T> {
  readonly name: string
  inFlight: ReadonlyArray<T>
}

interface Lane<T> {
  readonly name: string
  readonly queue: LaneQueue<T>
  /** Nothing of it is in a call, or waits to be sent again. */
  isFree: boolean
  /** What it sends again by itself, call by call. */
  again: ReadonlyArray<ReadonlyArray<T>>
  readonly hasAgain: Latch.Latch
  /** When what is in flight on it was first sent. */
  begunAt: number
  /** The same, once that has failed; else null. */
  failedSince: number | null
}

export const makeBatcher = <A, E, T extends Entry<A, E>>(options: {
  readonly lanes: number
  /** Commands that may wait on one lane, of each priority. */
  readonly size: number
  /**
   * At a time. Who has to wait makes a larger call, and large calls are what is cheap. What is sent again comes on top,
   * at most one call for each lane.
   */
  readonly callsInFlight: number
  readonly call: Call<A, E, T>
  readonly refused: (entry: T, why: DataRefused) => E
  /** Told once per outage, not once per try. */
  readonly unanswered: (error: StoreUnavailable, lanes: ReadonlyArray<number>) => Effect.Effect<void>
}): Batcher<T> => {
  const lanes = Array.from({ length: options.lanes }, (_, number): Lane<T> => ({
    name: `event-store/lane-${number}`,
    queue: makeLaneQueue<T>(options.size),
    isFree: true,
    again: [],
    hasAgain: Latch.makeUnsafe(),
    begunAt: 0,
    failedSince: null
  }))
  const senders = Array.from({ length: options.callsInFlight }, (_, number): Sender<T> => ({
    name: `event-store/sender-${number}`,
    inFlight: []
  }))
  const arrived = Latch.makeUnsafe()
  let calls = 0
  let appends = 0
  // Where the next call begins to look: a call that is full is not always full of the same lanes.
  let nextLane = 0
  let hasEnded = false

  const offer = (entry: T, priority: Priority): boolean => {
    if (hasEnded) {
      Deferred.doneUnsafe(entry.answer, Effect.failCause(Cause.interrupt()))
      return true
    }
    const { isFree, queue } = lanes[entry.lane]!
    if (!queue.offer(entry, priority)) return false
    if (isFree) arrived.openUnsafe()
    return true
  }

  const take = (now: number): ReadonlyArray<T> => {
    const batch: Array<T> = []
    const room = { commands: maxCallCommands, chars: maxCallChars }
    for (let step = 0; step < lanes.length; step++) {
      const lane = lanes[(nextLane + step) % lanes.length]!
      if (!lane.isFree || lane.queue.size() === 0) continue
      const before = batch.length
      lane.queue.takeInto(batch, room)
      if (batch.length === before) continue
      lane.isFree = false
      lane.begunAt = now
    }
    nextLane = (nextLane + 1) % lanes.length
    return batch.sort((a, b) => a.lane - b.lane)
  }

  /** All of the lane's commands have their answers. */
  const release = (lane: Lane<T>): void => {
    lane.isFree = true
    if (lane.queue.size() > 0) arrived.openUnsafe()
  }

  const noteFailure = (failed: ReadonlyArray<T>): ReadonlyArray<number> => {
    const fresh = lanesOf(failed).filter((number) => lanes[number]!.failedSince === null)
    for (const number of fresh) lanes[number]!.failedSince = lanes[number]!.begunAt
    return fresh
  }

  /** Before the callers hear of it, who may ask. */
  const noteAnswer = (answered: ReadonlyArray<T>): void => {
    for (const { lane } of answered) lanes[lane]!.failedSince = null
  }

  const attempt = (batch: ReadonlyArray<T>) =>
    options.call(batch).pipe(
      // A bug in between leaves the outcome open like a lost answer does, and must not stop the lanes for ever.
      Effect.catchDefect((defect) => Effect.fail(StoreUnavailable.of(defect))),
      Effect.tapError((error) => {
        if (error._tag === "DataRefused") return Effect.void
        const fresh = noteFailure(batch)
        return fresh.length === 0 ? Effect.void : options.unanswered(error, fresh)
      }),
      Effect.result
    )

  /** Answers whom it can; the calls that are left to make, each for one lane. */
  const settle = (
    batch: ReadonlyArray<T>,
    outcome: Result.Result<ReadonlyArray<Result.Result<A, E>>, StoreUnavailable | DataRefused>
  ): ReadonlyArray<ReadonlyArray<T>> => {
    const [first] = batch
    if (Result.isSuccess(outcome)) {
      calls += 1
      appends += batch.length
      noteAnswer(batch)
      batch.forEach((entry, index) => {
        Deferred.doneUnsafe(entry.answer, Effect.fromResult(outcome.success[index]!))
      })
      return []
    }
    const parts = byLane(batch)
    if (parts.length > 1 || outcome.failure._tag !== "DataRefused") return parts
    if (batch.length === 1 && first !== undefined) {
      noteAnswer(batch)
      Deferred.doneUnsafe(first.answer, Effect.fail(options.refused(first, outcome.failure)))
      return []
    }
    const half = batch.length >> 1
    return [batch.slice(0, half), batch.slice(half)]
  }

  const pauseFor = (millis: number) =>
    Effect.flatMap(Random.nextBetween(0.5, 1), (share) => Effect.sleep(millis * share))

  /** The sender is through with its call: what is left of it is the lanes' own. */
  const handOver = (sender: Sender<T>, left: ReadonlyArray<ReadonlyArray<T>>): void => {
    const held = lanesOf(sender.inFlight)
    sender.inFlight = []
    for (const part of left) {
      const lane = lanes[part[0]!.lane]!
      lane.again = [...lane.again, part]
      lane.hasAgain.openUnsafe()
    }
    for (const number of held) if (lanes[number]!.again.length === 0) release(lanes[number]!)
  }

  const sending = Effect.fnUntraced(function* (sender: Sender<T>) {
    while (true) {
      if (!lanes.some(({ isFree, queue }) => isFree && queue.size() > 0)) {
        arrived.closeUnsafe()
        yield* arrived.await
      }
      // The commands of one tick travel together.
      yield* Effect.yieldNow
      sender.inFlight = take(yield* Clock.currentTimeMillis)
      if (sender.inFlight.length === 0) continue
      const outcome = yield* attempt(sender.inFlight)
      const left = settle(sender.inFlight, outcome)
      if (isOpen(outcome)) yield* pauseFor(firstPauseMillis)
      handOver(sender, left)
    }
  })

  const sendingAgain = Effect.fnUntraced(function* (lane: Lane<T>) {
    let pause = firstPauseMillis
    while (true) {
      const [part] = lane.again
      if (part === undefined) {
        lane.hasAgain.closeUnsafe()
        yield* lane.hasAgain.await
        continue
      }
      const outcome = yield* attempt(part)
      const left = settle(part, outcome)
      if (isOpen(outcome)) {
        yield* pauseFor(pause)
        pause = Math.min(pause * 2, maxPauseMillis)
        continue
      }
      pause = firstPauseMillis
      lane.again = [...left, ...lane.again.slice(1)]
      if (lane.again.length === 0) release(lane)
    }
  })

  // What was in flight when a defect came may be stored or not: it is sent again.
  const loops = [
    ...senders.map((sender) =>
      keepRunning(
        sender.name,
        Effect.tapDefect(sending(sender), () =>
          Effect.sync(() => {
            noteFailure(sender.inFlight)
            handOver(sender, byLane(sender.inFlight))
          })
        )
      )
    ),
    ...lanes.map((lane) =>
      keepRunning(
        lane.name,
        Effect.tapDefect(sendingAgain(lane), () => Effect.sync(() => noteFailure(lane.again.flat())))
      )
    )
  ]

  const interruptAll = Effect.suspend(() => {
    hasEnded = true
    return Effect.forEach(
      [
        ...senders.flatMap(({ inFlight }) => inFlight),
        ...lanes.flatMap(({ again, queue }) => [...again.flat(), ...queue.takeAll()])
      ],
      (entry) => Deferred.interrupt(entry.answer),
      { discard: true }
    )
  })

  return {
    offer,
    run: Effect.all(loops, { concurrency: "unbounded", discard: true }).pipe(Effect.ensuring(interruptAll)),
    stats: () => ({
      queued:
        lanes.reduce((sum, { again, queue }) => sum + queue.size() + again.flat().length, 0) +
        senders.reduce((sum, { inFlight }) => sum + inFlight.length, 0),
      appends,
      calls
    }),
    unansweredSince: () =>
      lanes.reduce<number | null>(
        (oldest, { failedSince }) => (failedSince === null ? oldest : Math.min(oldest ?? failedSince, failedSince)),
        null
      )
  }
}

const lanesOf = (batch: ReadonlyArray<{ readonly lane: number }>): ReadonlyArray<number> => [
  ...new Set(batch.map(({ lane }) => lane))
]

const byLane = <T extends { readonly lane: number }>(batch: ReadonlyArray<T>): ReadonlyArray<ReadonlyArray<T>> =>
  lanesOf(batch).map((number) => batch.filter(({ lane }) => lane === number))

/** Whether the commands are stored nobody knows. */
const isOpen = (outcome: Result.Result<unknown, StoreUnavailable | DataRefused>): boolean =>
  Result.isFailure(outcome) && outcome.failure._tag !== "DataRefused"
