/**
 * Keeps the engine's loops alive: each has a name, a heartbeat and a restart with back-off.
 *
 * Only defects spend the restart budget, since they are bugs; when it is spent the process ends, and
 * whoever runs it starts a clean one. A dependency that is away is waited for without end, and reported.
 */
import { Cause, Clock, Context, Deferred, Effect, Exit, Layer, Random, Schema, Scope } from "effect"
import { AppConfig } from "../config.ts"

/** The restart budget is spent: the process must end with an error. */
export class TooManyDefects extends Schema.TaggedError<TooManyDefects>()("TooManyDefects", {
  loop: Schema.String,
  defects: Schema.Int
}) {
  override get message() {
    return `${this.loop} failed ${this.defects} times with a defect: this process gives up; the log says where it stood`
  }
}

export interface LoopReport {
  readonly name: string
  readonly restarts: number
  readonly lastBeat: number
  /** What the loop waits for; null while it runs. */
  readonly waitingFor: string | null
}

interface Loop {
  restarts: number
  lastBeat: number
  waitingFor: string | null
}

export class Supervisor extends Context.Service<
  Supervisor,
  {
    /** Runs a loop under this name in the caller's scope. It ends with the scope, or by returning. */
    readonly supervise: <E, R>(
      name: string,
      loop: Effect.Effect<void, E, R>
    ) => Effect.Effect<void, never, R | Scope.Scope>
    /** The same in the caller's fiber: returns when the loop returns. */
    readonly keep: <E, R>(name: string, loop: Effect.Effect<void, E, R>) => Effect.Effect<void, never, R>
    /** A loop says that it turns, once per step. */
    readonly beat: (name: string) => Effect.Effect<void>
    readonly report: Effect.Effect<ReadonlyArray<LoopReport>>
    /** Fails when the restart budget is spent; never succeeds. */
    readonly giveUp: Effect.Effect<never, TooManyDefects>
  }
>()("nexus/engine/Supervisor") {
  static readonly layer = Layer.effect(
    Supervisor,
    Effect.gen(function* () {
      const { supervision } = yield* AppConfig
      const loops = new Map<string, Loop>()
      const given = yield* Deferred.make<never, TooManyDefects>()
      // Times of defects within the window, over all loops. Owned here.
      let defects: Array<number> = []

      const loopOf = (name: string, now: number): Loop => {
        const known = loops.get(name)
        if (known !== undefined) return known
        const fresh: Loop = { restarts: 0, lastBeat: now, waitingFor: null }
        loops.set(name, fresh)
        return fresh
      }

      const spend = Effect.fnUntraced(function* (name: string, now: number) {
        defects = [...defects.filter((at) => at > now - supervision.defect_window_ms), now]
        if (defects.length > supervision.max_defects) {
          yield* Deferred.fail(given, new TooManyDefects({ loop: name, defects: defects.length }))
        }
      })

      const keepAlive = <E, R>(name: string, loop: Effect.Effect<void, E, R>) =>
        Effect.gen(function* () {
          for (let pause = supervision.restart_min_ms; ;) {
            const started = yield* Clock.currentTimeMillis
            const state = loopOf(name, started)
            const exit = yield* Effect.exit(loop)
            if (Exit.isSuccess(exit)) return
            const now = yield* Clock.currentTimeMillis
            state.restarts += 1
            const summary = describe(exit.cause)
            // Our own interruption does not come here; one of somebody else's is a bug like any defect.
            if (Cause.hasDies(exit.cause) || Cause.hasInterrupts(exit.cause)) {
              yield* Effect.logError(`${name} failed with a defect and starts again`, exit.cause)
              yield* spend(name, now)
            } else if (state.waitingFor !== summary) {
              yield* Effect.logWarning(`${name} waits: ${summary}`)
            }
            state.waitingFor = summary
            // A loop that ran well for a while starts over with the short pause.
            if (now - started > supervision.restart_max_ms) pause = supervision.restart_min_ms
            yield* Effect.sleep(pause * (yield* Random.nextBetween(0.5, 1)))
            pause = Math.min(pause * 2, supervision.restart_max_ms)
          }
        }).pipe(Effect.ensuring(Effect.sync(() => loops.delete(name))))

      return Supervisor.of({
        supervise: (name, loop) => Effect.asVoid(Effect.forkScoped(keepAlive(name, loop))),
        keep: keepAlive,
        beat: (name) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            const loop = loopOf(name, now)
            loop.lastBeat = now
            loop.waitingFor = null
          }),
        report: Effect.sync(() => Array.from(loops, ([name, loop]) => ({ name, ...loop }))),
        giveUp: Deferred.await(given)
      })
    })
  )
}

const describe = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message || error.name : String(error)
}
