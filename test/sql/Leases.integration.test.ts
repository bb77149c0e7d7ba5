/**
 * Leases and cursors on a real PostgreSQL: who owns what after each fault, and what an old owner can still write.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted, type Scope } from "effect"
import { PgClient } from "@effect/sql-pg"
import { describe, inject } from "vitest"
import { Cursors } from "../../src/sql/Cursors.ts"
import { Database } from "../../src/sql/Database.ts"
import { type HeldLease, Leases } from "../../src/sql/Leases.ts"
import { Replicas } from "../../src/sql/Replicas.ts"
import { asAdministrator, freshDatabase, limitsForTests } from "../harness/template.ts"
import { until } from "./until.ts"

const relays = ["relay/0", "relay/1", "relay/2", "relay/3"]
const singles = ["user-stream", "reconciler", "auditor"]
const everything = [...relays, ...singles]
// Long enough that no lease ends by itself in a test that does not want it to.
const longTtlMs = 60_000

/** Runs on a database of its own. */
const onStore = <E>(
  test: (url: string) => Effect.Effect<void, E, Leases | Cursors | Replicas | PgClient.PgClient | Scope.Scope>
) =>
  Effect.scoped(
    Effect.flatMap(freshDatabase(inject("pgUrl")), (url) =>
      test(url).pipe(
        Effect.provide(
          Layer.mergeAll(Leases.layer, Cursors.layer, Replicas.layer).pipe(
            Layer.provideMerge(Database.layer({ address: { url: Redacted.make(url) }, limits: limitsForTests }))
          )
        )
      )
    )
  )

const rolesOf = (held: ReadonlyArray<HeldLease>) => held.map(({ role }) => role)

/** A turn of the loop that each replica runs: tick, and give back what is too much. */
const turn = Effect.fnUntraced(function* (me: string, roles: ReadonlyArray<string> = everything, ttlMs = longTtlMs) {
  const leases = yield* Leases
  const held = yield* leases.tick({ me, roles, ttlMs, generation: 1 })
  for (const { role, surplus } of held) if (surplus) yield* leases.release({ owner: me, role })
  return rolesOf(held.filter(({ surplus }) => !surplus))
})

/** Makes what a replica holds look as old as if it had died a time to live ago. */
const kill = (url: string, owner: string) =>
  asAdministrator(url, (sql) =>
    Effect.andThen(
      sql`update leases set expires_at = clock_timestamp() - interval '1 second' where owner = ${owner}`,
      sql`update replicas set seen_at = clock_timestamp() - interval '10 minutes' where id = ${owner}`
    )
  )

/** An event as the log has it there, as far as a cursor looks at it. */
const written = (url: string, lane: number, position: number) => {
  const eventId = `event-${lane}-${position}`
  return asAdministrator(
    url,
    (sql) => sql`
      insert into events (lane, position, stream_id, version, event_id, type, schema_version, occurred_at, recorded_at,
        actor, correlation_id, command_id, data, previous_hash, hash)
      values (${lane}, ${position}, ${eventId}, 1, ${eventId}, 'OrderPlaced', 1, 0, 0, 'client', '', '', '{}', '', '')`
  ).pipe(Effect.as({ position, eventId }))
}

describe("a lease", () => {
  it.live("of every role goes to the only replica there is", () =>
    onStore(() =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* turn("a"), everything.toSorted())
      })
    )
  )

  it.live("is nobody's who opened another generation of the store, nor anybody's under a recovery", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const asleep = { me: "a", roles: everything, ttlMs: longTtlMs }
        assert.deepStrictEqual(yield* leases.tick({ ...asleep, generation: 2 }), [])
        assert.strictEqual((yield* leases.tick({ ...asleep, generation: 1 })).length, everything.length)

        yield* asAdministrator(url, (sql) => sql`update store set generation = 2`)
        assert.deepStrictEqual(yield* leases.tick({ ...asleep, generation: 1 }), [])
        assert.strictEqual((yield* leases.tick({ ...asleep, generation: 2 })).length, everything.length)

        yield* asAdministrator(
          url,
          (sql) => sql`insert into recoveries (number, begun_by, reason, heads, log_ended_at)
            values (1, 'ann', 'a test', '{}', 0)`
        )
        yield* asAdministrator(url, (sql) => sql`delete from replicas`)
        assert.deepStrictEqual(yield* leases.tick({ ...asleep, generation: 2 }), [])
        // Whoever recovers must see that somebody still lives; nobody counts on it for any role.
        const seen = yield* asAdministrator(
          url,
          (sql) => sql<{ id: string; roles: number }>`
          select id, cardinality(roles) as roles from replicas`
        )
        assert.deepStrictEqual(
          seen.map(({ id, roles }) => [id, roles]),
          [["a", 0]]
        )
      })
    )
  )

  it.live("keeps its epoch while it is renewed, and gets the next one with a new owner", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const first = yield* leases.tick({ me: "a", roles: relays, ttlMs: longTtlMs, generation: 1 })
        const renewed = yield* leases.tick({ me: "a", roles: relays, ttlMs: longTtlMs, generation: 1 })
        yield* kill(url, "a")

        const taken = yield* leases.tick({ me: "b", roles: relays, ttlMs: longTtlMs, generation: 1 })

        assert.deepStrictEqual(renewed, first)
        assert.deepStrictEqual(
          taken,
          first.map((lease) => ({ ...lease, epoch: lease.epoch + 1 }))
        )
      })
    )
  )

  it.live("is shared: two replicas come to two relays each, three to two, one and one", () =>
    onStore(() =>
      Effect.gen(function* () {
        yield* turn("a")
        let held: ReadonlyArray<ReadonlyArray<string>> = []
        for (let round = 0; round < 4; round++) held = [yield* turn("a", relays), yield* turn("b", relays)]

        assert.deepStrictEqual(
          held.map((each) => each.length),
          [2, 2]
        )

        for (let round = 0; round < 4; round++) {
          held = [yield* turn("a", relays), yield* turn("b", relays), yield* turn("c", relays)]
        }
        assert.deepStrictEqual(
          held.map((each) => each.length).toSorted((a, b) => a - b),
          [1, 1, 2]
        )
        assert.deepStrictEqual(held.flat().toSorted(), relays)
      })
    )
  )

  it.live("stays where it is once the shares are even", () =>
    onStore(() =>
      Effect.gen(function* () {
        const round = Effect.all(["a", "b", "c"].map((me) => turn(me)))
        for (let settling = 0; settling < 5; settling++) yield* round
        const settled = yield* round

        for (let later = 0; later < 5; later++) assert.deepStrictEqual(yield* round, settled)
      })
    )
  )

  it.live("is never taken by a replica that does not run its role, nor counted for it", () =>
    onStore(() =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* turn("api", ["api"]), [])
        assert.deepStrictEqual(yield* turn("reports", ["user-stream", "reports"]), ["user-stream"])

        assert.deepStrictEqual(yield* turn("relay", relays), relays)
        assert.deepStrictEqual(yield* turn("relay", relays), relays)
      })
    )
  )

  it.live("that only one replica can hold goes to it, whatever else it holds", () =>
    onStore(() =>
      Effect.gen(function* () {
        yield* turn("both", relays)
        yield* turn("relay only", relays)

        for (let round = 0; round < 3; round++) yield* turn("relay only", relays)
        assert.include(yield* turn("both", [...relays, "reconciler"]), "reconciler")
      })
    )
  )

  it.live("that was given back is taken by another at its next tick, and not again by its giver", () =>
    onStore(() =>
      Effect.gen(function* () {
        yield* turn("a")
        const surplus = (yield* (yield* Leases).tick({ me: "b", roles: relays, ttlMs: longTtlMs, generation: 1 }))
          .length
        yield* turn("a")

        const again = yield* turn("a", relays)
        const taken = yield* turn("b", relays)

        assert.strictEqual(surplus, 0)
        assert.lengthOf(taken, 2)
        assert.lengthOf(
          again.filter((role) => taken.includes(role)),
          0
        )
      })
    )
  )

  it.live("of a replica that leaves is free at once", () =>
    onStore(() =>
      Effect.gen(function* () {
        yield* turn("a")
        assert.deepStrictEqual(yield* turn("b"), [])

        yield* (yield* Leases).leave("a")

        assert.deepStrictEqual(yield* turn("b"), everything.toSorted())
      })
    )
  )

  it.live("is taken over when its time to live is over, and not before", () =>
    onStore(() =>
      Effect.gen(function* () {
        const ttlMs = 600
        yield* turn("a", relays, ttlMs)
        const asked = performance.now()

        const taken = yield* until(turn("b", relays, ttlMs), (held) => held.length === relays.length)

        assert.isAtLeast(performance.now() - asked, ttlMs - 100)
        assert.deepStrictEqual(taken, relays)
      })
    )
  )

  it.live("is granted once when replicas ask at the same moment", () =>
    onStore((url) =>
      Effect.gen(function* () {
        yield* turn("dead", relays)
        yield* kill(url, "dead")

        const held = yield* Effect.all(
          ["a", "b", "c", "d"].map((me) => turn(me, relays)),
          { concurrency: "unbounded" }
        )

        assert.strictEqual(new Set(held.flat()).size, held.flat().length)
      })
    )
  )
})

describe("a cursor", () => {
  it.live("moves under the lease of its lane, and only from where it stands", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const cursors = yield* Cursors
        const last = yield* written(url, 2, 17)
        const { epoch, role } = (yield* (yield* Leases).tick({
          me: "a",
          roles: ["relay/2"],
          ttlMs: longTtlMs,
          generation: 1
        }))[0]!
        const lease = { role, epoch, owner: "a" }

        yield* cursors.advance(lease, 2, 0, last)
        const repeated = yield* Effect.flip(cursors.advance(lease, 2, 0, last))

        assert.strictEqual(repeated._tag, "LostLease")
        assert.strictEqual(yield* cursors.position(2), 17)
        assert.deepStrictEqual(
          yield* cursors.positions,
          [0, 1, 2, 3].map((lane) => ({ lane, position: lane === 2 ? 17 : 0 }))
        )
      })
    )
  )

  it.live("does not move to what the log has not: nothing there, or another event than the one that was sent", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const cursors = yield* Cursors
        const last = yield* written(url, 2, 17)
        const { epoch, role } = (yield* (yield* Leases).tick({
          me: "a",
          roles: ["relay/2"],
          ttlMs: longTtlMs,
          generation: 1
        }))[0]!
        const lease = { role, epoch, owner: "a" }

        const another = yield* Effect.flip(cursors.advance(lease, 2, 0, { ...last, eventId: "lost" }))
        const nothing = yield* Effect.flip(cursors.advance(lease, 2, 0, { ...last, position: 18 }))
        const before = yield* cursors.position(2)
        yield* cursors.advance(lease, 2, 0, last)

        assert.deepStrictEqual([another._tag, nothing._tag, before], ["LostLease", "LostLease", 0])
      })
    )
  )

  it.live("refuses the owner of an older epoch, also when it is the same process", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const cursors = yield* Cursors
        const leases = yield* Leases
        const last = yield* written(url, 0, 5)
        const { epoch, role } = (yield* leases.tick({
          me: "slept",
          roles: ["relay/0"],
          ttlMs: longTtlMs,
          generation: 1
        }))[0]!
        yield* kill(url, "slept")
        yield* turn("other", ["relay/0"])
        const stale = yield* Effect.flip(cursors.advance({ role, epoch, owner: "slept" }, 0, 0, last))
        yield* leases.leave("other")
        yield* turn("slept", ["relay/0"])

        const older = yield* Effect.flip(cursors.advance({ role, epoch, owner: "slept" }, 0, 0, last))
        yield* cursors.advance({ role, epoch: epoch + 2, owner: "slept" }, 0, 0, last)

        assert.deepStrictEqual([stale._tag, older._tag], ["LostLease", "LostLease"])
        assert.strictEqual(yield* cursors.position(0), 5)
      })
    )
  )

  it.live("waits for a takeover that is not committed yet, and then refuses", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const cursors = yield* Cursors
        const last = yield* written(url, 0, 5)
        const { epoch, role } = (yield* (yield* Leases).tick({
          me: "slept",
          roles: ["relay/0"],
          ttlMs: longTtlMs,
          generation: 1
        }))[0]!

        const stale = yield* asAdministrator(url, (sql) =>
          Effect.gen(function* () {
            const writing = yield* sql.withTransaction(
              Effect.gen(function* () {
                yield* sql`update leases set owner = 'other', epoch = epoch + 1 where role = ${role}`
                const fiber = yield* Effect.forkChild(
                  Effect.flip(cursors.advance({ role, epoch, owner: "slept" }, 0, 0, last))
                )
                yield* until(
                  asAdministrator(
                    url,
                    (other) => other`
                    select from pg_stat_activity where wait_event_type = 'Lock' and query like '%update cursors%'
                      and datname = current_database()`
                  ),
                  (waiting) => waiting.length === 1
                )
                return fiber
              })
            )
            return yield* Fiber.join(writing)
          })
        )

        assert.strictEqual(stale._tag, "LostLease")
        assert.strictEqual(yield* cursors.position(0), 0)
      })
    )
  )
})

describe("replicas", () => {
  it.live("are found by what they run, a kind by its members, while they are seen", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const replicas = yield* Replicas
        yield* turn("b", ["executor", "relay/0"])
        yield* turn("a", ["executor"])
        yield* turn("gone", ["executor"])
        yield* kill(url, "gone")

        assert.deepStrictEqual(yield* replicas.live("executor", longTtlMs), ["a", "b"])
        assert.deepStrictEqual(yield* replicas.live("relay", longTtlMs), ["b"])
        assert.deepStrictEqual(yield* replicas.live("reconciler", longTtlMs), [])
      })
    )
  )

  it.live("that were not seen for an hour are forgotten", () =>
    onStore((url) =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        yield* turn("old", relays)
        yield* turn("young", relays)
        yield* asAdministrator(
          url,
          (admin) => admin`update replicas set seen_at = seen_at - interval '61 minutes' where id = 'old'`
        )

        yield* turn("young", relays)

        assert.deepStrictEqual(yield* sql`select id from replicas`, [{ id: "young" }])
      })
    )
  )
})
