/**
 * Places what must be single: each role (the relay of a lane, the user stream, the reconciler) runs on the
 * one replica that holds its lease, under the lease's epoch.
 *
 * Trust in a lease is counted on the monotonic clock from before the renewal was asked, and ends early:
 * a replica that cannot renew stops by itself before another may start. What a paused replica still writes
 * is refused by the epoch, in the statement that writes.
 *
 * Whoever cannot do a role's work, cut off from Kafka or the exchange say, stands aside while another replica offers
 * itself, until it can again. The last one never does: it waits with the work.
 */
import { Clock, Context, Effect, FiberMap, Layer, Random, Scope } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import { AppConfig } from "../config.ts"
import type { Lease } from "../sql/Leases.ts"
import { Leases } from "../sql/Leases.ts"
import { Replicas } from "../sql/Replicas.ts"
import { Store } from "../sql/Store.ts"
import { Supervisor } from "./Supervisor.ts"

// Between two looks at whether we can do what we own. Drawn, so that replicas that all cannot do not decide at once.
const lookMillis = [500, 1_500] as const
// The part of its time to live for which a lease is trusted; the rest covers slow answers.
const trustedShare = 0.75
const watchdogMillis = 100

export class Ownership extends Context.Service<
  Ownership,
  {
    /** This replica's name, fresh per start. */
    readonly me: string
    /**
     * Offers to run a role; while its lease is ours, `run` runs, supervised under the role's name. Ends with the
     * caller's scope. `unable` says why this replica cannot do it now; it is asked while we own the role, or stand aside.
     */
    readonly own: <R>(
      role: string,
      run: (lease: Lease) => Effect.Effect<void, unknown, R>,
      unable?: Effect.Effect<string | null>
    ) => Effect.Effect<void, never, R | Scope.Scope>
    /** The roles that this replica holds now, with their epochs. */
    readonly held: Effect.Effect<ReadonlyArray<Lease>>
  }
>()("nexus/engine/Ownership") {
  static readonly layer = Layer.effect(
    Ownership,
    Effect.gen(function* () {
      const { app, leases: limits } = yield* AppConfig
      const leases = yield* Leases
      const replicas = yield* Replicas
      const supervisor = yield* Supervisor
      const { generation } = yield* Store
      const me = yield* (yield* SecureRandom).uuidV4()
      const scope = yield* Effect.scope
      const running = yield* FiberMap.make<string>()
      const wanted = new Map<string, (lease: Lease) => Effect.Effect<void>>()
      const epochs = new Map<string, Lease["epoch"]>()
      let trustedUntil = 0n
      const unableOf = new Map<string, Effect.Effect<string | null>>()
      // Roles that we leave to others, since they can and we cannot. Nobody is told of them.
      const aside = new Set<string>()
      // Roles that we could not do at the last look: one slow answer moves nothing.
      const doubted = new Set<string>()

      // Roles whose fiber is ending: not started again before it has ended.
      const stopping = new Set<string>()

      // A fiber may take its time to end (a send to Kafka is not interrupted), and renewal must not wait for it.
      const stop = Effect.fnUntraced(function* (role: string, then: Effect.Effect<void>) {
        epochs.delete(role)
        if (stopping.has(role)) return
        stopping.add(role)
        yield* FiberMap.remove(running, role).pipe(
          Effect.andThen(then),
          Effect.ensuring(Effect.sync(() => stopping.delete(role))),
          Effect.forkIn(scope)
        )
      })

      const giveBack = (role: string) =>
        Effect.catch(leases.release({ owner: me, role }), (error) =>
          Effect.logDebug("a lease was left to expire", error)
        )

      const step = Effect.gen(function* () {
        yield* supervisor.beat("ownership")
        const asked = yield* Clock.monotonicTimeNanos
        // The names of roles are told too: they are never leased, but others see who runs what.
        const kindsAside = new Set(Array.from(aside, kindOf))
        const told = Array.from(new Set<string>([...wanted.keys(), ...app.roles])).filter(
          (role) => !kindsAside.has(kindOf(role))
        )
        const rows = yield* leases
          .tick({ me, roles: told, ttlMs: limits.ttl_ms, generation })
          .pipe(Effect.timeout(limits.ttl_ms / 2))
        trustedUntil = asked + BigInt(Math.floor(limits.ttl_ms * trustedShare)) * 1_000_000n
        const mine = new Map(rows.map((row) => [row.role, row]))
        for (const [role, epoch] of epochs) if (mine.get(role)?.epoch !== epoch) yield* stop(role, Effect.void)
        for (const { epoch, role } of rows) {
          const run = wanted.get(role)
          if (run === undefined || stopping.has(role) || aside.has(role)) continue
          epochs.set(role, epoch)
          // Also starts a role again whose fiber has ended.
          yield* FiberMap.run(running, role, run({ role, epoch, owner: me }), { onlyIfMissing: true })
        }
        for (const { role, surplus } of rows) if (surplus) yield* stop(role, giveBack(role))
      })

      const watchdog = Effect.gen(function* () {
        while (true) {
          yield* supervisor.beat("ownership/watchdog")
          if (epochs.size > 0 && (yield* Clock.monotonicTimeNanos) > trustedUntil) {
            yield* Effect.logWarning("leases could not be renewed in time: their work stops here")
            for (const role of Array.from(epochs.keys())) yield* stop(role, Effect.void)
          }
          yield* Effect.sleep(watchdogMillis)
        }
      })

      const standAside = Effect.fnUntraced(function* (role: string, why: string) {
        const others = yield* replicas.live(role, limits.ttl_ms)
        if (!others.some((id) => id !== me)) {
          // Whoever was there for it is gone.
          aside.delete(role)
          return
        }
        if (aside.has(role)) return
        aside.add(role)
        yield* Effect.logWarning(`${role} is left to another replica: ${why}`)
        yield* stop(role, giveBack(role))
      })

      // All roles that ask the same question get one answer.
      const look = Effect.gen(function* () {
        const questions = new Map<Effect.Effect<string | null>, Array<string>>()
        for (const [role, unable] of unableOf) {
          if (!epochs.has(role) && !aside.has(role)) continue
          questions.set(unable, [...(questions.get(unable) ?? []), role])
        }
        for (const [unable, roles] of questions) {
          const why = yield* unable
          for (const role of roles) {
            if (why === null) {
              aside.delete(role)
              doubted.delete(role)
            } else if (!doubted.has(role)) doubted.add(role)
            else yield* Effect.catch(standAside(role, why), (error) => Effect.logDebug("nobody could be asked", error))
          }
        }
      })

      const keepLooking = Effect.gen(function* () {
        while (true) {
          yield* supervisor.beat("ownership/ability")
          yield* look
          yield* Effect.sleep(yield* Random.nextBetween(...lookMillis))
        }
      })

      // A failed renewal is tried again at the next tick; the watchdog judges for how long.
      const renew = Effect.gen(function* () {
        while (true) {
          yield* Effect.catch(step, (error) => Effect.logDebug("leases were not renewed", error))
          yield* Effect.sleep(limits.renew_ms)
        }
      })
      // Others need not wait for our leases to expire.
      yield* Effect.addFinalizer(() =>
        Effect.catch(leases.leave(me), (error) => Effect.logDebug("this replica's roles are left to expire", error))
      )
      yield* supervisor.supervise("ownership", renew)
      yield* supervisor.supervise("ownership/watchdog", watchdog)
      yield* supervisor.supervise("ownership/ability", keepLooking)

      return Ownership.of({
        me,
        own: (role, run, unable) =>
          Effect.acquireRelease(
            Effect.contextWith((context) =>
              Effect.sync(() => {
                if (unable !== undefined) unableOf.set(role, unable)
                // Ends when `run` returns; the next tick starts it under the lease as it is then.
                wanted.set(role, (lease) =>
                  supervisor.keep(role, run(lease)).pipe(Effect.provideContext(context as never))
                )
              })
            ),
            () =>
              Effect.andThen(
                Effect.sync(() => {
                  unableOf.delete(role)
                  aside.delete(role)
                  doubted.delete(role)
                  wanted.delete(role)
                }),
                Effect.suspend(() => {
                  const held = epochs.delete(role)
                  return Effect.andThen(FiberMap.remove(running, role), held ? giveBack(role) : Effect.void)
                })
              )
          ),
        held: Effect.sync(() => Array.from(epochs, ([role, epoch]) => ({ role, epoch, owner: me })))
      })
    })
  )
}

/** `relay/0` is of the kind `relay`. */
const kindOf = (role: string): string => role.split("/")[0] ?? role
