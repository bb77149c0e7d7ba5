/**
 * What can go wrong at the exchange and on the way to it, each as a request to the control port drawn by chance.
 *
 * All of it stays within what is assumed of the exchange: nothing is accepted later than δ after its deadline, no
 * read is older than T.
 */
import type { Chance } from "../exactlyOnce/trials.ts"

export interface Act {
  readonly method: "GET" | "POST" | "DELETE"
  readonly path: string
  readonly body?: unknown
}

export interface Kind {
  readonly name: string
  readonly weight: number
  readonly acts: (chance: Chance) => ReadonlyArray<Act>
  /** What ends it again, after so long. */
  readonly ends?: { readonly afterMillis: readonly [number, number]; readonly acts: ReadonlyArray<Act> }
  /** Drawn again only after so many seconds: what stops everything for long would leave nothing else to see. */
  readonly everySeconds?: number
}

const place = "POST /api/v3/order"
const cancel = "DELETE /api/v3/order"
const questions = [
  "GET /api/v3/order",
  "GET /api/v3/openOrders",
  "GET /api/v3/allOrders",
  "GET /api/v3/myTrades",
  "GET /api/v3/account",
  "GET /api/v3/time",
  "userDataStream.subscribe.signature"
]

/** Of 1,000 ms; the exchange needs some of it to do what it does. */
const lateMillis = 850
const staleMillis = 850
/** A firewall's page names no end, and whoever meets one keeps quiet for a minute. */
const firewallSeconds = 480

const post = (path: string, body: unknown): ReadonlyArray<Act> => [{ method: "POST", path, body }]
const struck = (on: string, kind: string, more: object = {}): ReadonlyArray<Act> =>
  post("/faults", { on, kind, ...more })
const stream = (action: string, more: object = {}): ReadonlyArray<Act> => post("/stream", { action, ...more })

const done = (chance: Chance): unknown =>
  chance.one([
    "now",
    "never",
    { afterMillis: chance.whole(0, 3_000) },
    { afterDeadlineMillis: chance.whole(-2_000, lateMillis) }
  ])
const limit = (chance: Chance) =>
  chance.one([
    { status: 429, code: -1003, message: "Too many requests.", retryAfterSeconds: chance.whole(1, 2) },
    { status: 418, code: -1003, message: "Way too many requests; IP banned.", retryAfterSeconds: 1 }
  ])
const html = (chance: Chance) => chance.one([500, 502, 503, 504])
const tellsNothing = (chance: Chance) => chance.one([-1000, -1001, -1006, -1007, -1008, -1016])
const garbled = (chance: Chance) => chance.one(["short", "html", "empty", "wrongType"])

/** Faults of one request that may be done or not. `done` is a moment for orders and cancels, and now for questions. */
const ofRequest = (
  what: string,
  weight: number,
  on: (chance: Chance) => string,
  when: (chance: Chance) => unknown
): ReadonlyArray<Kind> => [
  {
    name: `${what}: answer lost`,
    weight,
    acts: (c) => struck(on(c), "answerLost", { done: when(c), reset: c.next() < 0.5 })
  },
  { name: `${what}: never arrives`, weight, acts: (c) => struck(on(c), "neverArrives") },
  { name: `${what}: no answer`, weight: weight / 2, acts: (c) => struck(on(c), "hangs", { done: when(c) }) },
  { name: `${what}: answered late`, weight, acts: (c) => struck(on(c), "answerLate", { millis: c.whole(500, 9_000) }) },
  { name: `${what}: answer cut`, weight, acts: (c) => struck(on(c), "answerCut", { done: when(c) }) },
  {
    name: `${what}: answer garbled`,
    weight,
    acts: (c) => struck(on(c), "answerGarbled", { how: garbled(c), done: when(c) })
  },
  {
    name: `${what}: 5xx in HTML`,
    weight,
    acts: (c) => struck(on(c), "unavailable", { status: html(c), done: when(c) })
  },
  {
    name: `${what}: a code that tells nothing`,
    weight,
    acts: (c) => struck(on(c), "timeout", { code: tellsNothing(c), done: when(c) })
  },
  { name: `${what}: 410`, weight: weight / 2, acts: (c) => struck(on(c), "gone") },
  { name: `${what}: limited`, weight: weight / 2, acts: (c) => struck(on(c), "refused", limit(c)) }
]

export const kinds: ReadonlyArray<Kind> = [
  ...ofRequest("order", 4, () => place, done),
  {
    name: "order: held past its time",
    weight: 4,
    acts: (c) =>
      struck(place, "held", { beyondDeadlineMillis: c.whole(1, 500), check: c.one(["second", "third"] as const) })
  },
  { name: "order: held", weight: 4, acts: (c) => struck(place, "held", { millis: c.whole(500, 3_000) }) },
  {
    name: "order: refused for good",
    weight: 2,
    acts: () =>
      struck(place, "refused", {
        status: 400,
        code: -2010,
        message: "Account has insufficient balance for requested action."
      })
  },
  {
    name: "order: too many orders",
    weight: 2,
    acts: (c) =>
      struck(place, "refused", {
        status: 429,
        code: -1015,
        message: "Too many new orders.",
        retryAfterSeconds: c.whole(1, 2)
      })
  },
  { name: "order: firewall", weight: 2, everySeconds: firewallSeconds, acts: () => struck(place, "blocked") },
  ...ofRequest("cancel", 1.5, () => cancel, done),
  {
    name: "cancel: filled before it",
    weight: 4,
    acts: (c) => struck(cancel, "filledFirst", { share: c.one(["whole", "part"]) })
  },
  ...ofRequest(
    "question",
    1.5,
    (c) => c.one(questions),
    () => "now"
  ),
  { name: "stream: cut", weight: 3, acts: () => stream("cut") },
  { name: "stream: closed", weight: 3, acts: () => stream("close") },
  { name: "stream: ends with notice", weight: 3, acts: () => stream("shutdown") },
  { name: "stream: notice without an end", weight: 1, acts: () => stream("announce") },
  { name: "stream: silent", weight: 2, acts: () => stream("silence") },
  {
    name: "stream: cut, and refused again",
    weight: 2,
    acts: (c) => [...stream("refuse", { millis: c.whole(500, 3_000) }), ...stream("cut")]
  },
  { name: "events: lost", weight: 5, acts: (c) => stream("drop", { times: c.whole(1, 5) }) },
  { name: "events: twice", weight: 4, acts: (c) => stream("duplicate", { times: c.whole(1, 5) }) },
  {
    name: "events: late",
    weight: 4,
    acts: (c) => stream("delay", { millis: c.whole(100, 4_000), times: c.whole(1, 5) })
  },
  { name: "events: out of order", weight: 4, acts: (c) => stream("reorder", { times: c.whole(1, 5) }) },
  {
    name: "reads lag",
    weight: 6,
    acts: (c) => [
      ...post("/reads", { orders: c.whole(1, staleMillis), histories: c.whole(1, staleMillis) }),
      ...(c.next() < 0.5 ? struck(place, "answerLost") : [])
    ],
    ends: { afterMillis: [1_000, 6_000], acts: [{ method: "DELETE", path: "/reads" }] }
  },
  { name: "everybody: 429", weight: 2, acts: (c) => post("/limits", { status: 429, millis: c.whole(500, 2_000) }) },
  {
    name: "everybody: 429 of orders",
    weight: 2,
    acts: (c) => post("/limits", { status: 429, of: "orders", millis: c.whole(500, 2_000) })
  },
  { name: "everybody: 418", weight: 2, acts: (c) => post("/limits", { status: 418, millis: c.whole(500, 2_000) }) },
  {
    name: "everybody: 403",
    weight: 2,
    everySeconds: firewallSeconds,
    acts: (c) => post("/limits", { status: 403, millis: c.whole(500, 1_500) })
  }
]
