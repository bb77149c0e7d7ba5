/**
 * The command line: parses, calls main.ts, and ends the process with a code. Every failure that a person can
 * mend is one sentence on stderr and exit code 1; a stack trace is only for bugs.
 */
import type { Runtime as RuntimeModule } from "effect"

// What is left of the grace that Kubernetes gives (30 s), whatever hangs.
const stopDeadlineMillis = 28_000
// A second signal means: now.
const impatientDeadlineMillis = 1_000

const signals = { count: 0, last: null as NodeJS.Signals | null, started: false }

const onSignal = (signal: NodeJS.Signals) => {
  signals.count += 1
  signals.last = signal
  // Still loading: nothing was begun, so nothing has to be ended.
  if (!signals.started) process.exit(0)
  const deadline = signals.count === 1 ? stopDeadlineMillis : impatientDeadlineMillis
  setTimeout(() => process.exit(1), deadline).unref()
}
process.on("SIGTERM", onSignal)
process.on("SIGINT", onSignal)

// Loaded only now, which takes most of a second: a signal must not find the process without its handlers.
const [
  { NodeRuntime, NodeServices },
  { Cause, Effect, Exit, Option, Runtime, Schema },
  { Argument, Command, Flag },
  { OrderId },
  main
] = await Promise.all([
  import("@effect/platform-node"),
  import("effect"),
  import("effect/cli"),
  import("./domain/Ids.ts"),
  import("./main.ts")
])
const {
  doctor,
  foreign,
  leases,
  listParked,
  migrate,
  recover,
  republish,
  resolve,
  serve,
  showParked,
  simulateExchange,
  topics,
  unpark,
  verify
} = main
signals.started = true

const port = Flag.Int("port").pipe(
  Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))),
  Flag.withDefault(9_080),
  Flag.withDescription("where it listens; 0 takes a free one")
)

/** One of each kind, and one of each to change over to. */
const greatestPublicKeys = 4

const simulator = Command.make(
  "simulate-exchange",
  {
    port,
    host: Flag.String("host").pipe(
      Flag.withDefault("127.0.0.1"),
      Flag.withDescription("loopback unless you say otherwise")
    ),
    seed: Flag.Int("seed").pipe(Flag.withDefault(7), Flag.withDescription("the same seed makes the same market")),
    journal: Flag.String("journal").pipe(
      Flag.optional,
      Flag.withDescription("folder that keeps orders, trades and balances over restarts")
    ),
    latencyMillis: Flag.Int("latency-ms").pipe(
      Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60_000 }))),
      Flag.withDefault(0),
      Flag.withDescription("milliseconds that every answer takes longer")
    ),
    limits: Flag.Literals("limits", ["off", "real"]).pipe(
      Flag.withDefault("off"),
      Flag.withDescription("real: request and order limits are enforced")
    ),
    controlPort: Flag.Int("control-port").pipe(
      Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))),
      Flag.optional,
      Flag.withDescription("port of 127.0.0.1 for faults, clock and ledger; 0 takes a free one, none without the flag")
    ),
    publicKeys: Flag.FileText("public-key").pipe(
      Flag.between(0, greatestPublicKeys),
      Flag.withDescription("file with a public key (PEM, RSA or Ed25519) of the same API key; may be repeated")
    )
  },
  ({ controlPort, journal, ...flags }) =>
    simulateExchange({
      ...flags,
      controlPort: Option.getOrUndefined(controlPort),
      journal: Option.getOrUndefined(journal)
    })
).pipe(Command.withDescription("Run the exchange simulator alone"))

const examination = Command.make(
  "doctor",
  {
    testOrder: Flag.Boolean("test-order").pipe(
      Flag.withDefault(false),
      Flag.withDescription("also let the exchange check an order, which it does not carry out")
    )
  },
  doctor
).pipe(Command.withDescription("Examine keys, clock, permissions, limits and connections, and say what to do"))

/** What ends in the log for ever: one line of plain text. */
const line = (name: string, longest: number, description: string) =>
  Flag.String(name).pipe(
    Flag.withSchema(
      Schema.String.check(
        Schema.makeFilter(
          (text: string) =>
            text.trim() !== "" && text.length <= longest && text.isWellFormed() && !/\p{Cc}/u.test(text),
          { expected: `1 to ${longest} characters of one line` }
        )
      )
    ),
    Flag.withDescription(description)
  )

const resolution = Command.make(
  "resolve",
  {
    orderId: Argument.String("order").pipe(Argument.withSchema(OrderId), Argument.withDescription("id of the order")),
    as: Flag.Literals("as", ["completed", "failed", "cancelled"]).pipe(Flag.withDescription("how the order ends")),
    by: line("by", 100, "who decides"),
    reason: line("reason", 1_000, "what the decision rests on")
  },
  ({ as, ...decision }) => resolve({ ...decision, as: endings[as] })
).pipe(
  Command.withDescription(
    "End an order that is stuck, by decision of a person: the last resort. Works on the database of the configuration, " +
      "beside the programs that serve it; an embedded database that is stopped is started for as long as this takes."
  )
)
const endings = { completed: "COMPLETED", failed: "FAILED", cancelled: "CANCELLED" } as const

const position = (name: string, description: string) =>
  Flag.Int(name).pipe(
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }))),
    Flag.withDescription(description)
  )

const repetition = Command.make(
  "republish",
  {
    lane: Flag.Int("lane").pipe(
      Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 32_767 }))),
      Flag.withDescription("the lane, which is the topic's partition")
    ),
    from: position("from", "first position"),
    to: position("to", "last position; at most what was sent before")
  },
  republish
).pipe(
  Command.withDescription(
    "Send events to Kafka again, for topics that have lost them. Readers take them for repeats; beside the programs that serve."
  )
)

const recovery = Command.make(
  "recover",
  {
    by: line("by", 100, "who decides"),
    reason: line("reason", 1_000, "what happened, such as: restored to the backup of noon"),
    since: Flag.Date("since").pipe(
      Flag.optional,
      Flag.withDescription(
        "from when on the exchange's orders are looked at, and earlier also Kafka's records; else from the log's last entry on"
      )
    ),
    symbols: Flag.String("symbols").pipe(
      Flag.optional,
      Flag.withDescription(
        "with commas: ask only for these and those of the log; else for all that the exchange trades"
      )
    ),
    json: Flag.Boolean("json").pipe(Flag.withDefault(false), Flag.withDescription("everything, for programs"))
  },
  ({ since, symbols, ...rest }) =>
    recover({
      ...rest,
      since: Option.match(since, { onNone: () => null, onSome: (date) => date.getTime() }),
      symbols: Option.match(symbols, {
        onNone: () => null,
        onSome: (text) => text.split(",").map((each) => each.trim().toUpperCase())
      })
    })
).pipe(
  Command.withDescription(
    "Make a store that lost commits fit to be served: bring back what Kafka has of them, begin a new generation, " +
      "and import what the exchange knows of our orders. With every other process stopped; may be repeated."
  )
)

const parkedOrder = Argument.String("order").pipe(
  Argument.withSchema(OrderId),
  Argument.withDescription("id of the order")
)

const verdict = (act: "retry" | "skip", description: string) =>
  Command.make(
    act,
    {
      orderId: parkedOrder,
      by: line("by", 100, "who decides"),
      reason: line("reason", 1_000, "what the decision rests on")
    },
    (word) => unpark({ ...word, act })
  ).pipe(Command.withDescription(description))

const parked = Command.make("parked").pipe(
  Command.withDescription("Orders that wait for an operator, because a record of theirs could not be sent or handled"),
  Command.withSubcommands([
    Command.make(
      "list",
      {
        after: Flag.String("after").pipe(
          Flag.withSchema(OrderId),
          Flag.optional,
          Flag.withDescription("id of the order behind which the list begins")
        )
      },
      ({ after }) => listParked({ after: Option.getOrNull(after) })
    ).pipe(Command.withDescription("The orders that are parked now")),
    Command.make("show", { orderId: parkedOrder }, showParked).pipe(
      Command.withDescription("Why one is parked, and what could not be handled")
    ),
    verdict("retry", "Take the order up again where it stands"),
    verdict("skip", "Leave out what could not be handled: an order that waited for it alone ends as failed")
  ])
)

const nexus = Command.make("nexus").pipe(
  Command.withDescription("Order manager for Binance Spot"),
  Command.withSubcommands([
    Command.make("serve", {}, () => serve(() => signals.last)).pipe(
      Command.withDescription("Serve the HTTP API and execute orders")
    ),
    Command.make("migrate", {}, () => migrate).pipe(Command.withDescription("Bring the database's schema up to date")),
    Command.make("topics", {}, () => topics).pipe(Command.withDescription("Create the Kafka topics, or check them")),
    Command.make("verify", {}, () => verify).pipe(
      Command.withDescription("Recompute chains, versions, positions and lives of the whole log")
    ),
    Command.make("foreign", {}, () => foreign).pipe(
      Command.withDescription("List orders at the exchange, under our keys, that this store never sent")
    ),
    Command.make("leases", {}, () => leases).pipe(
      Command.withDescription("Who owns which lane and which single work, and which replicas live")
    ),
    repetition,
    recovery,
    parked,
    examination,
    resolution,
    simulator
  ])
)

const teardown: RuntimeModule.Teardown = (exit, onExit) => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return onExit(0)
  const error = Cause.squash(exit.cause)
  const mendable = !Cause.hasDies(exit.cause) && error instanceof Error
  // What the command line itself complains of, it has printed already.
  if (!mendable || Runtime.getErrorReported(error)) {
    process.stderr.write(
      mendable ? `nexus: ${error.message}\n` : `nexus: a bug ended the program\n${Cause.pretty(exit.cause)}\n`
    )
  }
  onExit(1)
}

nexus.pipe(
  Command.run({ version: "0.1.0" }),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({ disableErrorReporting: true, teardown })
)
