/**
 * Tells the other processes on this store that something was committed, so that their relays wake at once.
 *
 * Only a wake-up: nobody depends on it, and a slow poll stands beside it. It never travels with an append (a
 * NOTIFY there would put all commits of the database into one line) but follows it, at most once per pause, on a
 * statement of its own that waits for no disk. A process that has heard of no other in a while sends nothing
 * but a rare sign of life, so a single process pays nothing.
 */
import type { PgClient } from "@effect/sql-pg"
import { Clock, Effect, Latch, Queue } from "effect"
import { randomUUID } from "node:crypto"
import { keepRunning } from "./keepRunning.ts"
import { detailOf } from "./StoreUnavailable.ts"

const channel = "nexus_commits"
// Many commits share one notification; added to a wake-up in another process.
const notifyPauseMillis = 5
const aliveMillis = 10_000
// Two missed signs of life, and some.
const aloneAfterMillis = 25_000
const listenPauseMillis = 1_000

export interface CommitSignal {
  /** Costs nothing for the caller: the notification goes out later. */
  readonly committed: (lane: number) => void
}

export const makeCommitSignal = Effect.fnUntraced(function* (options: {
  readonly lanes: number
  readonly onCommit: (lane: number) => void
  /** Apart from the pool of the work; one connection of it is held to listen. */
  readonly sql: PgClient.PgClient
}) {
  const { sql } = options
  // Not the node's name: two processes on one machine may carry the same.
  const me = randomUUID()
  const dirty = new Set<number>()
  const pending = Latch.makeUnsafe()
  let heardAt = Number.NEGATIVE_INFINITY

  const allLanes = () => {
    for (let lane = 0; lane < options.lanes; lane++) options.onCommit(lane)
  }

  // Losing a notification is harmless, waiting for the disk for it is not.
  const send = (payload: string) =>
    sql`select set_config('synchronous_commit', 'off', true), pg_notify(${channel}, ${payload})`.pipe(
      Effect.asVoid,
      Effect.catch((error) => Effect.logDebug("a commit signal was not sent", { detail: detailOf(error) }))
    )

  const hear = Effect.fnUntraced(function* (payload: string) {
    const [sender, , ...lanes] = payload.split(" ")
    if (sender === me) return
    const now = yield* Clock.currentTimeMillis
    const isNew = now - heardAt > aloneAfterMillis
    heardAt = now
    // Who has just come is answered, so that both know of each other at once.
    if (isNew) yield* send(`${me} alive`)
    for (const lane of lanes) options.onCommit(Number(lane))
  })

  // Ends with the scope. After a lost connection it listens again and wakes everybody once, for what it missed.
  const listen = Effect.gen(function* () {
    const notifications = yield* sql.listen(channel)
    yield* send(`${me} alive`)
    allLanes()
    while (true) yield* hear((yield* Queue.take(notifications)).payload)
  }).pipe(
    Effect.scoped,
    Effect.catch((error) => Effect.logDebug("commit signals are not heard", { detail: detailOf(error) })),
    Effect.andThen(Effect.sleep(listenPauseMillis)),
    Effect.forever
  )

  const speak = Effect.gen(function* () {
    yield* pending.await
    pending.closeUnsafe()
    const lanes = [...dirty]
    dirty.clear()
    if ((yield* Clock.currentTimeMillis) - heardAt > aloneAfterMillis) return
    yield* send(`${me} commit ${lanes.join(" ")}`)
    yield* Effect.sleep(notifyPauseMillis)
  }).pipe(Effect.forever)

  const showLife = Effect.forever(Effect.andThen(Effect.sleep(aliveMillis), send(`${me} alive`)))

  yield* Effect.forkScoped(keepRunning("commit-signal/listen", listen))
  yield* Effect.forkScoped(keepRunning("commit-signal/speak", speak))
  yield* Effect.forkScoped(keepRunning("commit-signal/alive", showLife))

  const signal: CommitSignal = {
    committed: (lane) => {
      if (heardAt === Number.NEGATIVE_INFINITY) return
      dirty.add(lane)
      pending.openUnsafe()
    }
  }
  return signal
})
