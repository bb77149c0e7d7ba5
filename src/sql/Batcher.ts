/**
 * Group commit for one lane: takes all that waits, 1 to 256 commands, and stores it with one call; no
 * artificial delay, one call in flight. Batch size follows load by itself.
 *
 * A batch whose data PostgreSQL refuses is halved until the one bad command fails alone. Any other error
 * leaves the outcome open, so the identical call is repeated until it answers; the append function knows
 * again what is stored already. Callers do not end that: they leave at their own deadlines.
 *
 * A bug within the lane's own loop begins it again with the batch that was in flight, for the same reason.
 *
 * The queue is owned by the one fiber that runs `run`, and bounded; a full one refuses at once.
 */
import { Clock, Deferred, Effect, Latch, Random, Result, type Semaphore } from "effect"
import { keepRunning } from "./keepRunning.ts"
import { StoreUnavailable } from "./StoreUnavailable.ts"

/** One command in the queue. */
export interface Entry<A, E> {
  readonly streamId: string
  /** How much it adds to a call. */
  readonly chars: number
  readonly answer: Deferred.Deferred<A, E>
}

export interface DataRefused {
  readonly _tag: "DataRefused"
  readonly sqlState: string
  readonly detail: string
}

/** Stores a batch; the answers in its order. */
export type Call<A, E, T extends Entry<A, E>> = (
  batch: ReadonlyArray<T>
) => Effect.Effect<ReadonlyArray<Result.Result<A, E>>, StoreUnavailable | DataRefused>

// Beyond this size one call gains nothing more, and holds the lane for longer.
const maxBatchCommands = 256
// Characters in one call: parsing them stays in milliseconds.
const maxBatchChars = 512 * 1024
// Back-off of a call that got no answer: fast enough for a restart of PostgreSQL, slow enough for a long outage.
const firstPauseMillis = 20
const maxPauseMillis = 1_000

export interface Batcher<T> {
  /** False: the queue is full and nothing was queued. */
  readonly offer: (entry: T, priority: "engine" | "intake") => boolean
  /** Ends only by interruption, which everybody who waits then shares. */
  readonly run: Effect.Effect<never>
  readonly stats: () => { readonly queued: number; readonly appends: number; readonly batches: number }
  /** When the call in flight was first made, if it has failed since, for whatever reason; else null. */
  readonly unansweredSince: () => number | null
}

export const makeBatcher = <A, E, T extends Entry<A, E>>(options: {
  /** In the log lines of its loop. */
  readonly name: string
  /** Of each of the two queues. */
  readonly size: number
  readonly call: Call<A, E, T>
  /** Of all lanes: who has to wait for the others' calls makes a larger batch, and large batches are what is cheap. */
  readonly calls: Semaphore.Semaphore
  readonly refused: (entry: T, why: DataRefused) => E
  /** Told once per outage, not once per try. */
  readonly unanswered: (error: StoreUnavailable) => Effect.Effect<void>
}): Batcher<T> => {
  // Commands of the engine itself go first: they finish what is in flight.
  let engine: Array<T> = []
  let intake: Array<T> = []
  let inFlight: ReadonlyArray<T> = []
  let begunAt = 0
  let hasFailed = false
  let batches = 0
  let appends = 0
  const arrived = Latch.makeUnsafe()

  const offer = (entry: T, priority: "engine" | "intake"): boolean => {
    const queue = priority === "engine" ? engine : intake
    if (queue.length >= options.size) return false
    queue.push(entry)
    arrived.openUnsafe()
    return true
  }

  const take = (): ReadonlyArray<T> => {
    const batch: Array<T> = []
    const streams = new Set<string>()
    let chars = 0
    const takeFrom = (queue: Array<T>): Array<T> => {
      const deferred: Array<T> = []
      let index = 0
      for (; index < queue.length && batch.length < maxBatchCommands; index++) {
        const entry = queue[index]!
        // Two commands of one stream in one call would collide: the second waits for the next call, and so does
        // everything behind it on that stream.
        if (streams.has(entry.streamId)) {
          deferred.push(entry)
          continue
        }
        if (batch.length > 0 && chars + entry.chars > maxBatchChars) break
        chars += entry.chars
        streams.add(entry.streamId)
        batch.push(entry)
      }
      return index === queue.length ? deferred : [...deferred, ...queue.slice(index)]
    }
    engine = takeFrom(engine)
    intake = takeFrom(intake)
    return batch
  }

  const untilAnswered = Effect.fnUntraced(function* (batch: ReadonlyArray<T>) {
    for (let pause = firstPauseMillis; ; pause = Math.min(pause * 2, maxPauseMillis)) {
      const outcome = yield* options.call(batch).pipe(
        // A bug in between leaves the outcome open like a lost answer does, and must not stop the lane for ever.
        Effect.catchDefect((defect) => Effect.fail(StoreUnavailable.of(defect))),
        Effect.result
      )
      if (Result.isSuccess(outcome)) return Result.succeed(outcome.success)
      const { failure } = outcome
      if (failure._tag === "DataRefused") return Result.fail(failure)
      hasFailed = true
      if (pause === firstPauseMillis) yield* options.unanswered(failure)
      yield* Effect.sleep(pause * (yield* Random.nextBetween(0.5, 1)))
    }
  })

  const store = (batch: ReadonlyArray<T>): Effect.Effect<void> =>
    Effect.flatMap(untilAnswered(batch), (outcome) => {
      if (Result.isSuccess(outcome)) {
        hasFailed = false
        batches += 1
        appends += batch.length
        batch.forEach(({ answer }, index) => {
          Deferred.doneUnsafe(answer, Effect.fromResult(outcome.success[index]!))
        })
        return Effect.void
      }
      const [first] = batch
      if (batch.length === 1 && first !== undefined) {
        hasFailed = false
        Deferred.doneUnsafe(first.answer, Effect.fail(options.refused(first, outcome.failure)))
        return Effect.void
      }
      const half = batch.length >> 1
      return Effect.andThen(
        store(batch.slice(0, half)),
        Effect.suspend(() => store(batch.slice(half)))
      )
    })

  const interruptAll = Effect.suspend(() => {
    const waiting = [...inFlight, ...engine, ...intake]
    engine = []
    intake = []
    return Effect.forEach(waiting, ({ answer }) => Deferred.interrupt(answer), { discard: true })
  })

  const storeNext = Effect.gen(function* () {
    // What is in flight here was interrupted by a defect: it may be stored or not, and is repeated.
    if (inFlight.length === 0) {
      inFlight = take()
      begunAt = yield* Clock.currentTimeMillis
    }
    yield* store(inFlight)
    inFlight = []
  })

  const turn = Effect.gen(function* () {
    while (true) {
      if (inFlight.length === 0) {
        if (engine.length + intake.length === 0) {
          arrived.closeUnsafe()
          yield* arrived.await
        }
        // The commands of one tick travel together.
        yield* Effect.yieldNow
      }
      yield* options.calls.withPermit(storeNext)
    }
  })

  const run = keepRunning(
    options.name,
    Effect.tapDefect(turn, () => Effect.sync(() => void (hasFailed = inFlight.length > 0)))
  ).pipe(Effect.ensuring(interruptAll))

  return {
    offer,
    run,
    stats: () => ({ queued: engine.length + intake.length + inFlight.length, appends, batches }),
    unansweredSince: () => (hasFailed ? begunAt : null)
  }
}
