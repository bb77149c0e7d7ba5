/**
 * Group commit: one call takes what waits on every lane that is free, 1 to 256 commands, and stores it; no artificial
 * delay. A lane is in one call at a time. The size of a call follows load by itself.
 *
 * A call whose data PostgreSQL refuses is halved until the one bad command fails alone. Any other error leaves the
 * outcome open, so the same commands are sent again until an answer comes; the append function knows again what is
 * stored already. They are sent again lane by lane, so that one lane that cannot go on holds up no other. Callers do
 * not end that: they leave at their own deadlines.
 *
 * A bug within a sender's own loop begins it again with what was in flight, for the same reason.
 *
 * The queues are owned by the fibers that `run` starts, and bounded; a full one refuses at once.
 */
import { Clock, Deferred, Effect, Latch, Random, Result } from "effect"
import { keepRunning } from "./keepRunning.ts"
import type { Priority, Queued } from "./LaneQueue.ts"
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
  /** Ends only by interruption, which everybody who waits then shares. */
  readonly run: Effect.Effect<void>
  readonly stats: () => { readonly queued: number; readonly appends: number; readonly calls: number }
  /** When the oldest call in flight was first made, of those that have failed since, for whatever reason; else null. */
  readonly unansweredSince: () => number | null
}

/** One of those that make calls. */
interface Sender<T> {
  readonly name: string
  inFlight: ReadonlyArray<T>
  begunAt: number
}

export const makeBatcher = <A, E, T extends Entry<A, E>>(options: {
  readonly lanes: number
  /** Commands that may wait on one lane, of each priority. */
  readonly size: number
  /** At a time. Who has to wait makes a larger call, and large calls are what is cheap. */
  readonly callsInFlight: number
  readonly call: Call<A, E, T>
  readonly refused: (entry: T, why: DataRefused) => E
  /** Told once per outage, not once per try. */
  readonly unanswered: (error: StoreUnavailable, lanes: ReadonlyArray<number>) => Effect.Effect<void>
}): Batcher<T> => {
  const lanes = Array.from({ length: options.lanes }, (_, number) => ({
    number,
    queue: makeLaneQueue<T>(options.size),
    isFree: true,
    /** When the call that has failed on it was first made. */
    failedSince: null as number | null
  }))
  const senders = Array.from({ length: options.callsInFlight }, (_, number): Sender<T> => ({
    name: `event-store/sender-${number}`,
    inFlight: [],
    begunAt: 0
  }))
  const arrived = Latch.makeUnsafe()
  let calls = 0
  let appends = 0
  // Where the next call begins to look: a call that is full is not always full of the same lanes.
  let nextLane = 0

  const offer = (entry: T, priority: Priority): boolean => {
    const { isFree, queue } = lanes[entry.lane]!
    if (!queue.offer(entry, priority)) return false
    if (isFree) arrived.openUnsafe()
    return true
  }

  const take = (): ReadonlyArray<T> => {
    const batch: Array<T> = []
    const room = { commands: maxCallCommands, chars: maxCallChars }
    for (let step = 0; step < lanes.length; step++) {
      const lane = lanes[(nextLane + step) % lanes.length]!
      if (!lane.isFree || lane.queue.size() === 0) continue
      const before = batch.length
      lane.queue.takeInto(batch, room)
      lane.isFree = batch.length === before
    }
    nextLane = (nextLane + 1) % lanes.length
    return batch.sort((a, b) => a.lane - b.lane)
  }

  /** All of the lane's commands have their answers. */
  const release = (sender: Sender<T>, number: number): void => {
    const lane = lanes[number]!
    lane.isFree = true
    if (lane.queue.size() > 0) arrived.openUnsafe()
    sender.inFlight = sender.inFlight.filter((entry) => entry.lane !== number)
  }

  const noteFailure = (sender: Sender<T>, failed: ReadonlyArray<T>): ReadonlyArray<number> => {
    const fresh = lanesOf(failed).filter((number) => lanes[number]!.failedSince === null)
    for (const number of fresh) lanes[number]!.failedSince = sender.begunAt
    return fresh
  }

  /** Before the callers hear of it, who may ask. */
  const noteAnswer = (answered: ReadonlyArray<T>): void => {
    for (const { lane } of answered) lanes[lane]!.failedSince = null
  }

  const attempt = (sender: Sender<T>, batch: ReadonlyArray<T>) =>
    options.call(batch).pipe(
      // A bug in between leaves the outcome open like a lost answer does, and must not stop the lanes for ever.
      Effect.catchDefect((defect) => Effect.fail(StoreUnavailable.of(defect))),
      Effect.tapError((error) => {
        if (error._tag === "DataRefused") return Effect.void
        const fresh = noteFailure(sender, batch)
        return fresh.length === 0 ? Effect.void : options.unanswered(error, fresh)
      }),
      Effect.result
    )

  const answer = (batch: ReadonlyArray<T>, results: ReadonlyArray<Result.Result<A, E>>): void => {
    calls += 1
    appends += batch.length
    noteAnswer(batch)
    batch.forEach((entry, index) => {
      Deferred.doneUnsafe(entry.answer, Effect.fromResult(results[index]!))
    })
  }

  const pauseFor = (millis: number) =>
    Effect.flatMap(Random.nextBetween(0.5, 1), (share) => Effect.sleep(millis * share))

  const untilAnswered = Effect.fnUntraced(function* (sender: Sender<T>, batch: ReadonlyArray<T>) {
    for (let pause = firstPauseMillis; ; pause = Math.min(pause * 2, maxPauseMillis)) {
      const outcome = yield* attempt(sender, batch)
      if (Result.isSuccess(outcome)) return answer(batch, outcome.success)
      if (outcome.failure._tag === "DataRefused") return yield* halve(sender, batch, outcome.failure)
      yield* pauseFor(pause)
    }
  })

  const halve = (sender: Sender<T>, batch: ReadonlyArray<T>, why: DataRefused): Effect.Effect<void> => {
    const [first] = batch
    if (batch.length === 1 && first !== undefined) {
      return Effect.sync(() => {
        noteAnswer(batch)
        Deferred.doneUnsafe(first.answer, Effect.fail(options.refused(first, why)))
      })
    }
    const half = batch.length >> 1
    return Effect.andThen(
      untilAnswered(sender, batch.slice(0, half)),
      Effect.suspend(() => untilAnswered(sender, batch.slice(half)))
    )
  }

  const laneByLane = (sender: Sender<T>, batch: ReadonlyArray<T>) =>
    Effect.forEach(
      lanesOf(batch),
      (number) =>
        Effect.tap(
          untilAnswered(
            sender,
            batch.filter(({ lane }) => lane === number)
          ),
          () => Effect.sync(() => release(sender, number))
        ),
      { concurrency: "unbounded", discard: true }
    )

  const send = Effect.fnUntraced(function* (sender: Sender<T>) {
    const batch = sender.inFlight
    const outcome = yield* attempt(sender, batch)
    if (Result.isSuccess(outcome)) answer(batch, outcome.success)
    else if (outcome.failure._tag === "DataRefused") yield* halve(sender, batch, outcome.failure)
    else yield* Effect.andThen(pauseFor(firstPauseMillis), laneByLane(sender, batch))
    for (const number of lanesOf(sender.inFlight)) release(sender, number)
  })

  const turn = Effect.fnUntraced(function* (sender: Sender<T>) {
    while (true) {
      // What is in flight here was interrupted by a defect: it may be stored or not, and is sent again.
      if (sender.inFlight.length === 0) {
        if (!lanes.some(({ isFree, queue }) => isFree && queue.size() > 0)) {
          arrived.closeUnsafe()
          yield* arrived.await
        }
        // The commands of one tick travel together.
        yield* Effect.yieldNow
        sender.inFlight = take()
        if (sender.inFlight.length === 0) continue
        sender.begunAt = yield* Clock.currentTimeMillis
      }
      yield* send(sender)
    }
  })

  const keepSending = (sender: Sender<T>) =>
    keepRunning(
      sender.name,
      Effect.tapDefect(turn(sender), () => Effect.sync(() => noteFailure(sender, sender.inFlight)))
    )

  const interruptAll = Effect.suspend(() =>
    Effect.forEach(
      [...senders.flatMap(({ inFlight }) => inFlight), ...lanes.flatMap(({ queue }) => queue.takeAll())],
      (entry) => Deferred.interrupt(entry.answer),
      { discard: true }
    )
  )

  return {
    offer,
    run: Effect.forEach(senders, keepSending, { concurrency: "unbounded", discard: true }).pipe(
      Effect.ensuring(interruptAll)
    ),
    stats: () => ({
      queued:
        lanes.reduce((sum, { queue }) => sum + queue.size(), 0) +
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
