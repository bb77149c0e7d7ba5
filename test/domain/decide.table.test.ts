/**
 * The transition table: what every command means in every phase of an order's life, cell by cell.
 * Verifies INV-8 together with `legalEvents`: each accepted cell is also a legal life.
 */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import type { Command } from "../../src/domain/Command.ts"
import { decide } from "../../src/domain/decide.ts"
import type { OrderEvent } from "../../src/domain/Event.ts"
import { lifeFaults } from "../../src/domain/invariants.ts"
import type { Phase } from "../../src/domain/Order.ts"
import { phaseOf } from "../../src/domain/Order.ts"
import {
  absence,
  accepted,
  cancel,
  cancelledHere,
  cancelRequested,
  completed,
  doubt,
  doubted,
  expireStale,
  failed,
  filled,
  importOrder,
  now,
  orderAfter,
  park,
  place,
  placed,
  parked,
  refuse,
  refuseCancel,
  refused,
  report,
  reset,
  request,
  resolve,
  staleAt,
  start,
  started,
  trade,
  unpark
} from "./story.ts"

const open = [placed, started(), accepted()]

/** One life that leads to each phase, and lives whose axes beside the phase matter. */
const lives: Readonly<Record<string, ReadonlyArray<OrderEvent>>> = {
  NEW: [],
  PENDING: [placed],
  REFUSED: [placed, started(), refused(now + 1_000)],
  PARKED: [placed, parked],
  SENT: [placed, started()],
  DOUBT: [placed, started(), doubted()],
  OPEN: open,
  UNWANTED: [...open, cancelRequested],
  COMPLETED: [...open, filled("1", "2"), completed("2", "200")],
  FAILED: [placed, started(), refused(null), failed("-1021", "outside of the recvWindow")],
  CANCELLED: [placed, cancelledHere()]
}
const columns = Object.keys(lives)

const phases: Readonly<Record<string, Phase>> = { REFUSED: "PENDING", PARKED: "PENDING", UNWANTED: "OPEN" }

// A cell: the events in short, "-" for nothing new, "!CODE" for a rejection.
const short: Readonly<Record<string, OrderEvent["_tag"]>> = {
  placed: "OrderPlaced",
  denied: "OrderDenied",
  started: "SubmissionStarted",
  accepted: "SubmissionAccepted",
  refused: "SubmissionRefused",
  unknown: "SubmissionUnknown",
  absent: "SubmissionProvenAbsent",
  filled: "OrderFilled",
  completed: "OrderCompleted",
  wanted: "CancelRequested",
  cancelRefused: "CancelRefused",
  cancelled: "OrderCancelled",
  expired: "OrderExpired",
  failed: "OrderFailed",
  parked: "OrderParked",
  unparked: "OrderUnparked",
  resolved: "OperatorResolved"
}

const commands: Readonly<Record<string, Command>> = {
  place: place(),
  "place denied": place({ denial: { code: "LIMIT", message: "too much" } }),
  "place other": place({ request: { ...request, side: "SELL" } }),
  cancel: cancel,
  start: start(),
  "start late": start(staleAt),
  stale: expireStale(staleAt),
  "not stale": expireStale(staleAt - 1),
  "report NEW": report("NEW", "0"),
  "report part": report("PARTIALLY_FILLED", "1", [trade("8", "1")]),
  "report odd": report("PENDING_CANCEL", "0"),
  "report FILLED": report("FILLED", "2", [trade("8", "1"), trade("9", "1")]),
  "FILLED bare": report("FILLED", "2"),
  CANCELED: report("CANCELED", "0"),
  EXPIRED: report("EXPIRED", "0"),
  "import open": importOrder(report("PARTIALLY_FILLED", "1", [trade("8", "1")])),
  "import ended": importOrder(report("FILLED", "2", [trade("8", "1"), trade("9", "1")])),
  refuse: refuse(now + 1_000),
  "refuse final": refuse(null),
  doubt: doubt(),
  absence: absence(),
  "refuse cancel": refuseCancel,
  reset: reset(),
  park: park,
  unpark: unpark,
  resolve: resolve("FAILED")
}

const table = `
              | NEW              | PENDING                   | REFUSED                   | PARKED                    | SENT                      | DOUBT                     | OPEN             | UNWANTED         | COMPLETED     | FAILED        | CANCELLED
place         | placed           | -                         | -                         | -                         | -                         | -                         | -                | -                | -             | -             | -
place denied  | denied           | -                         | -                         | -                         | -                         | -                         | -                | -                | -             | -             | -
place other   | placed           | !ORDER_ID_TAKEN           | !ORDER_ID_TAKEN           | !ORDER_ID_TAKEN           | !ORDER_ID_TAKEN           | !ORDER_ID_TAKEN           | !ORDER_ID_TAKEN  | !ORDER_ID_TAKEN  | !ORDER_ID_TAKEN | !ORDER_ID_TAKEN | !ORDER_ID_TAKEN
cancel        | !ORDER_NOT_FOUND | cancelled                 | cancelled                 | cancelled                 | wanted                    | wanted                    | wanted           | -                | !TOO_LATE     | !TOO_LATE     | -
start         | !ORDER_NOT_FOUND | started                   | !NOT_DUE                  | !PARKED                   | !NOT_DUE                  | !NOT_DUE                  | !NOT_DUE         | !NOT_DUE         | !NOT_DUE      | !NOT_DUE      | !NOT_DUE
start late    | !ORDER_NOT_FOUND | failed                    | failed                    | failed                    | !NOT_DUE                  | !NOT_DUE                  | !NOT_DUE         | !NOT_DUE         | !NOT_DUE      | !NOT_DUE      | !NOT_DUE
stale         | -                | failed                    | failed                    | failed                    | -                         | -                         | -                | -                | -             | -             | -
not stale     | -                | -                         | -                         | -                         | -                         | -                         | -                | -                | -             | -             | -
report NEW    | -                | accepted                  | accepted                  | accepted                  | accepted                  | accepted                  | -                | -                | -             | -             | -
report part   | -                | accepted filled           | accepted filled           | accepted filled           | accepted filled           | accepted filled           | filled           | filled           | filled        | filled        | filled
report odd    | -                | accepted                  | accepted                  | accepted                  | accepted                  | accepted                  | -                | -                | -             | -             | -
report FILLED | -                | accepted filled filled completed | accepted filled filled completed | accepted filled filled completed | accepted filled filled completed | accepted filled filled completed | filled filled completed | filled filled completed | filled filled | filled filled | filled filled
FILLED bare   | -                | accepted                  | accepted                  | accepted                  | accepted                  | accepted                  | -                | -                | -             | -             | -
CANCELED      | -                | accepted cancelled        | accepted cancelled        | accepted cancelled        | accepted cancelled        | accepted cancelled        | cancelled        | cancelled        | -             | -             | -
EXPIRED       | -                | accepted expired          | accepted expired          | accepted expired          | accepted expired          | accepted expired          | expired          | expired          | -             | -             | -
import open   | placed accepted filled | accepted filled           | accepted filled           | accepted filled           | accepted filled           | accepted filled           | filled           | filled           | filled        | filled        | filled
import ended  | placed accepted filled filled completed | accepted filled filled completed | accepted filled filled completed | accepted filled filled completed | accepted filled filled completed | accepted filled filled completed | filled filled completed | filled filled completed | filled filled | filled filled | filled filled
refuse        | -                | -                         | -                         | -                         | refused                   | refused                   | -                | -                | -             | -             | -
refuse final  | -                | -                         | -                         | -                         | refused failed            | refused failed            | -                | -                | -             | -             | -
doubt         | -                | -                         | -                         | -                         | unknown                   | -                         | -                | -                | -             | -             | -
absence       | -                | -                         | -                         | -                         | absent                    | absent                    | -                | -                | -             | -             | -
refuse cancel | -                | -                         | -                         | -                         | -                         | -                         | -                | cancelRefused    | -             | -             | -
reset         | -                | -                         | -                         | -                         | failed                    | failed                    | failed           | failed           | -             | -             | -
park          | -                | parked                    | parked                    | -                         | parked                    | parked                    | parked           | parked           | parked        | parked        | parked
unpark        | -                | -                         | -                         | unparked                  | -                         | -                         | -                | -                | -             | -             | -
resolve       | !ORDER_NOT_FOUND | !NOT_STUCK                | !NOT_STUCK                | resolved                  | resolved                  | resolved                  | !NOT_STUCK       | resolved         | !TOO_LATE     | !TOO_LATE     | !TOO_LATE
`

const [head = [], ...rows] = table
  .trim()
  .split("\n")
  .map((line) => line.split("|").map((cell) => cell.trim()))

const cells = rows.flatMap(([command = "", ...row]) =>
  row.map((expected, index) => [command, head[index + 1] ?? "", expected] as const)
)

const commandOf = (name: string): Command => commands[name] ?? assert.fail(`no command ${name}`)
const lifeOf = (name: string): ReadonlyArray<OrderEvent> => lives[name] ?? assert.fail(`no life ${name}`)

describe("the transition table", () => {
  it("is whole: every kind of command in every phase, no cell missing", () => {
    const tags: ReadonlySet<Command["_tag"]> = new Set(Object.values(commands).map((command) => command._tag))
    const all: Readonly<Record<Command["_tag"], true>> = {
      PlaceOrder: true,
      CancelOrder: true,
      StartSubmission: true,
      ExpireStale: true,
      RecordReport: true,
      ImportOrder: true,
      RecordRefusal: true,
      RecordDoubt: true,
      RecordAbsence: true,
      RecordCancelRefusal: true,
      RecordReset: true,
      ParkOrder: true,
      UnparkOrder: true,
      ResolveOrder: true
    }

    assert.deepStrictEqual([...tags].sort(), Object.keys(all).sort())
    assert.deepStrictEqual(head.slice(1), columns)
    assert.deepStrictEqual(
      rows.map(([name]) => name),
      Object.keys(commands)
    )
    assert.strictEqual(cells.length, Object.keys(commands).length * columns.length)
  })

  it.each(columns)("the life that leads to %s is legal and leads there", (column) => {
    const life = lifeOf(column)

    assert.deepStrictEqual(lifeFaults(life.map((event) => ({ event, at: now }))), [])
    assert.strictEqual(phaseOf(orderAfter(life)), phases[column] ?? column)
  })

  it.each(cells)("%s in %s: %s", (command, column, expected) => {
    const life = lifeOf(column)

    const decision = decide(orderAfter(life), commandOf(command))

    if (Result.isFailure(decision)) return assert.strictEqual(`!${decision.failure.code}`, expected)
    const events = expected === "-" ? [] : expected.split(" ").map((word) => short[word])
    assert.deepStrictEqual(
      decision.success.map((event) => event._tag),
      events
    )
    const faults = lifeFaults([...life, ...decision.success].map((event) => ({ event, at: now })))
    // Orders that ended with all they could buy, and orders that were filled twice, are told of; nothing else may be wrong.
    const overfilled = column === "COMPLETED" && expected.startsWith("filled")
    assert.deepStrictEqual(
      faults.filter((fault) => !(overfilled && /^(filled|completed with)/.test(fault))),
      []
    )
  })
})
