/**
 * What a client sees of two replicas when one of them goes, or stands still and comes back believing that it still owns
 * what it owned: the same request at the other is answered, what was single is taken over, and nothing is done twice.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { inject, vi } from "vitest"
import { ListeningAddress } from "../../src/http/Server.ts"
import { brokenBus, makeBusFaults } from "../engine/brokenBus.ts"
import { freshDatabase } from "../harness/template.ts"
import { TestNexus } from "../layers.ts"
import { until } from "../sql/until.ts"
import { askAt, buy, by, makeExchange, networkBefore, onLedger, orders, wholeOn } from "./Whole.ts"

// Two whole replicas in one process, and a lease that runs out.
vi.setConfig({ testTimeout: 90_000 })

const takenOverMillis = 10_000
/** As they are by default. */
const leases = { NEXUS_LEASES_TTL_MS: "3000", NEXUS_LEASES_RENEW_MS: "500" }

/** The roles that a replica holds, by its own word. */
const heldAt = (url: string) =>
  Effect.map(askAt(url, "GET", "/metrics"), ({ body }) =>
    Array.from(
      String(body["text"]).matchAll(/^nexus_lease_held\{role="([^"]+)",epoch="\d+"\} 1$/gm),
      ([, role]) => role!
    )
  )

const single = (roles: ReadonlyArray<string>) =>
  roles.filter((role) => role.startsWith("relay/") || role === "user-stream" || role === "reconciler")

const positionsOf = (published: ReturnType<typeof makeBusFaults>["published"]): ReadonlySet<string> =>
  new Set(
    published.flatMap(({ lane, record, topic }) =>
      topic === "events" ? [`${lane}/${record.headers["ce_position"]}`] : []
    )
  )

describe("one replica lost, and a split brain", () => {
  it.live(
    "the other one takes everything over, and whoever comes back is fenced: each order once, no event missing",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const exchange = yield* makeExchange
          const databaseUrl = yield* freshDatabase(inject("pgUrl"))
          const network = yield* networkBefore("127.0.0.1", Number(new URL(databaseUrl).port))
          const [first, second] = [makeBusFaults(), makeBusFaults()]
          const start = (url: string, bus: typeof first) =>
            Effect.map(
              Layer.build(wholeOn(exchange, { databaseUrl: url, env: leases, bus: brokenBus(bus) })),
              (context) => ({
                url: Context.get(context, ListeningAddress).url,
                nexus: Context.get(context, TestNexus)
              })
            )
          const lost = yield* start(by(network, databaseUrl), first)
          yield* until(heldAt(lost.url), (roles) => single(roles).length >= 6)
          const other = yield* start(databaseUrl, second)
          const ended = (id: string) =>
            until(askAt(other.url, "GET", `${orders}/${id}`), ({ body }) => body["status"] === "COMPLETED")
          yield* askAt(lost.url, "POST", orders, buy("before"))
          yield* ended("before")

          // It stands still: nothing it says arrives, and what it has said already arrives when it goes on.
          network.cut("silent")
          const begun = performance.now()
          const asked = yield* Effect.forkChild(askAt(lost.url, "POST", orders, buy("retried")))
          const answer = yield* askAt(other.url, "POST", orders, buy("retried"))
          yield* until(heldAt(other.url), (roles) => single(roles).length >= 6)
          const took = performance.now() - begun
          yield* ended("retried")
          for (let index = 0; index < 10; index++) yield* askAt(other.url, "POST", orders, buy(`alone-${index}`))
          for (let index = 0; index < 10; index++) yield* ended(`alone-${index}`)
          network.heal()
          const late = yield* Fiber.join(asked)
          yield* until(askAt(lost.url, "GET", "/ready"), ({ status }) => status === 200)
          const again = yield* askAt(lost.url, "POST", orders, buy("retried"))
          yield* askAt(lost.url, "POST", orders, buy("after"))
          yield* ended("after")

          assert.isBelow(took, takenOverMillis)
          assert.strictEqual(answer.status, 202)
          assert.include([200, 503], late.status, JSON.stringify(late.body))
          assert.deepStrictEqual([again.status, again.headers.get("idempotency-replayed")], [200, "true"])
          const { body } = yield* askAt(other.url, "GET", `${orders}?status=all&limit=500`)
          const seen = body as unknown as ReadonlyArray<{ readonly id: string; readonly client_order_id: string }>
          assert.strictEqual(seen.length, 13)
          for (const order of seen) assert.strictEqual(onLedger(exchange, order.client_order_id), 1, order.id)
          const { events, findings } = yield* other.nexus.verify
          assert.deepStrictEqual(findings, [])
          // Between both, every event went out.
          yield* until(
            Effect.sync(() => positionsOf([...first.published, ...second.published]).size),
            (sent) => sent >= events
          )
        })
      )
  )
})
