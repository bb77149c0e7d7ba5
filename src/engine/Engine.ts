/**
 * The one door for change: every command, from outside or from the engine's own parts, passes here,
 * and nothing else appends to the log.
 *
 * Each order has a mailbox that one fiber at a time empties, so commands of one order are decided one
 * after the other on the state that the last one left. That state is only a copy: the append compares
 * version and head hash, a lost race reloads and decides again, and a decision that appends nothing is
 * compared with the stored head before it is answered, since another process may have moved on.
 *
 * An order with an event that this release cannot read, as a later one may have written, is parked and left alone.
 *
 * Promises INV-1 (success means durable) and INV-2 (one OrderPlaced per id).
 */
import {
  Clock,
  Context,
  Deferred,
  Effect,
  Exit,
  FiberSet,
  HashSet,
  Latch,
  Layer,
  Random,
  Result,
  Schema,
  Semaphore
} from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import { AppConfig } from "../config.ts"
import type { Command } from "../domain/Command.ts"
import { decide } from "../domain/decide.ts"
import type { Provenance, StoredEvent } from "../domain/Envelope.ts"
import { requestHashOf, seal } from "../domain/Envelope.ts"
import type { AccountEvent, DomainEvent, OrderRequest, UnparkAct } from "../domain/Event.ts"
import { isOrderEvent, OrderEvent } from "../domain/Event.ts"
import type { EpochMillis } from "../domain/Ids.ts"
import { accountStream, clientOrderIdOf, OrderId } from "../domain/Ids.ts"
import { checkStatic, FilterViolation } from "../domain/Instrument.ts"
import type { OrderStream } from "../domain/Order.ts"
import { emptyStream, evolve, isEnded } from "../domain/Order.ts"
import { Rejection } from "../domain/Rejection.ts"
import { type LoadedStream, replay } from "../domain/replay.ts"
import { isSameOnceSent } from "../domain/sameOnceSent.ts"
import { Blotter } from "../sql/Blotter.ts"
import { EventStore } from "../sql/EventStore.ts"
import type { StoreUnavailable } from "../sql/StoreUnavailable.ts"
import { Store } from "../sql/Store.ts"
import { Backlog, type LogBroken } from "./Backlog.ts"
import { makeBoundedMap } from "./BoundedMap.ts"
import { makeDeadlines } from "./Deadlines.ts"
import { Instruments } from "./Instruments.ts"
import { makeLateEvidence } from "./LateEvidence.ts"
import { Supervisor } from "./Supervisor.ts"

/** Too much is waiting already. Nothing was recorded; the same request is safe after a moment. */
export class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}

/** The deadline passed before the store answered. The command may yet be recorded: the same id gives the final answer. */
export class NotConfirmed extends Schema.TaggedError<NotConfirmed>()("NotConfirmed", {}) {}

/** No snapshot of the exchange's symbols has ever been fetched. Nothing was recorded. */
export class InstrumentsUnknown extends Schema.TaggedError<InstrumentsUnknown>()("InstrumentsUnknown", {}) {}

/** The request breaks a static filter of the exchange. Nothing was recorded and the id stays free. */
export class FilterDenied extends Schema.TaggedError<FilterDenied>()("FilterDenied", {
  violations: Schema.Array(FilterViolation)
}) {}

/** What one command had appended to a stream, as it was read back. */
export interface Lost {
  readonly streamId: string
  /** Of the first event. */
  readonly version: number
  readonly commandId: string
  readonly occurredAt: EpochMillis
  readonly traceParent: string | null
  readonly events: ReadonlyArray<{ readonly eventId: string; readonly event: DomainEvent }>
}

/** The events do not follow what the log has. Nothing was appended. */
export class CannotBringBack extends Schema.TaggedError<CannotBringBack>()("CannotBringBack", {
  streamId: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `the events of ${this.streamId} cannot be brought back: ${this.detail}`
  }
}

/** What came of a command. */
export interface Told {
  /** The order after it. */
  readonly stream: OrderStream
  /** What this very command appended; empty when there was nothing new in it. */
  readonly events: ReadonlyArray<OrderEvent>
}

interface Letter {
  readonly command: Command
  readonly provenance: Provenance
  /** After this moment nobody waits for the answer any more; null: news, which is never given up. */
  readonly deadline: EpochMillis | null
  readonly reply: Deferred.Deferred<Told, Rejection | NotConfirmed | Busy>
}

interface Mailbox {
  readonly orderId: OrderId
  readonly letters: Array<Letter>
  /** Opens when a letter has been taken out. */
  readonly space: Latch.Latch
  running: boolean
  /** A copy of the stored order; undefined until something needs it, or when it proved stale. */
  current: OrderStream | undefined
}

// Losing a race is normal while another process books fills; the pause only spreads the next try.
const raceJitterMillis = 10
// A full lane queue empties within a batch or two.
const laneFullPauseMillis = 5
const loadPauseMillis = 50
const loadPauseMaxMillis = 2_000

export class Engine extends Context.Service<
  Engine,
  {
    /** Durable when it succeeds. The same id and body again is answered from the log. */
    readonly place: (input: {
      readonly orderId: OrderId
      readonly request: OrderRequest
      readonly traceParent: string | null
    }) => Effect.Effect<
      { readonly order: OrderStream; readonly replayed: boolean },
      Busy | NotConfirmed | InstrumentsUnknown | LogBroken | FilterDenied | Rejection
    >
    /** Cancelled at once while no attempt lives; else the wish is durable and goes to the exchange. */
    readonly cancel: (input: {
      readonly orderId: OrderId
      readonly traceParent: string | null
    }) => Effect.Effect<
      { readonly order: OrderStream; readonly outcome: "cancelled" | "already_cancelled" | "requested" },
      Busy | NotConfirmed | Rejection
    >
    /** An operator's last resort for an order that is stuck. What the exchange says afterwards is booked, and an alarm. */
    readonly resolve: (input: {
      readonly orderId: OrderId
      readonly as: "COMPLETED" | "FAILED" | "CANCELLED"
      readonly by: string
      readonly reason: string
      readonly evidence: ReadonlyArray<string>
    }) => Effect.Effect<OrderStream, Busy | NotConfirmed | Rejection>
    /** An operator's word on a parked order. `wasParked` is false when there was nothing to do. */
    readonly unpark: (input: {
      readonly orderId: OrderId
      readonly act: UnparkAct
      readonly by: string
      readonly reason: string
    }) => Effect.Effect<{ readonly stream: OrderStream; readonly wasParked: boolean }, Busy | NotConfirmed | Rejection>
    /**
     * Appends events as they were before the log lost them, at the place where they stood: the very next versions of
     * their stream. Only for a recovery, which is alone on the store.
     */
    readonly bringBack: (lost: Lost) => Effect.Effect<void, CannotBringBack | StoreUnavailable>
    /** The stream of an order: its own id's, but for one that a recovery found at the exchange alone. */
    readonly streamOf: (orderId: OrderId) => OrderId
    /** For the engine's own parts: waits in the mailbox and for the store, however long that takes. */
    readonly tell: (orderId: OrderId, command: Command) => Effect.Effect<Told, Rejection>
    /** The order as the log has it now; null if there is none. */
    readonly read: (orderId: OrderId) => Effect.Effect<OrderStream | null, StoreUnavailable | Rejection>
    /** As this process last saw it, without a question to the store; null: it has no copy. Another process may be further. */
    readonly lastSeen: (orderId: OrderId) => Effect.Effect<OrderStream | null>
    /** Whose client order id this is, if this process has sent it of late; null: ask the blotter. */
    readonly orderIdOf: (clientOrderId: string) => Effect.Effect<OrderId | null>
    /** Appends to the account's stream; waits for the store. */
    readonly recordAccount: (decideOn: (version: number) => AccountEvent | null) => Effect.Effect<void>
    /** For metrics: orders with a copy in memory, letters that wait, and news against operators' decisions. */
    readonly load: Effect.Effect<{
      readonly cached: number
      readonly waiting: number
      readonly lateEvidence: number
    }>
  }
>()("nexus/engine/Engine") {
  static readonly layer = Layer.effect(
    Engine,
    Effect.gen(function* () {
      const { engine: limits, execution, margins } = yield* AppConfig
      const backlog = yield* Backlog
      const blotter = yield* Blotter
      const store = yield* EventStore
      const { imported, storeId } = yield* Store
      const instruments = yield* Instruments
      const random = yield* SecureRandom
      // Both owned here.
      const mailboxes = makeBoundedMap<OrderId, Mailbox>(limits.cached_orders, ({ running }) => !running)
      // News of what was just sent comes within milliseconds; it needs no look-up.
      const sent = makeBoundedMap<string, OrderId>(limits.cached_orders)
      const lateEvidence = makeLateEvidence()
      let waiting = 0
      const fork = yield* FiberSet.makeRuntime<never, void>()
      const accountLock = yield* Semaphore.make(1)
      const deadlines = yield* makeDeadlines(limits.command_deadline_ms, yield* Supervisor)

      const provenanceOf = (actor: string, traceParent: string | null, commandId: string): Provenance => ({
        commandId,
        actor,
        correlationId: commandId,
        causationId: null,
        traceParent
      })

      const mailboxOf = (orderId: OrderId): Mailbox => {
        const known = mailboxes.touch(orderId)
        if (known !== undefined) return known
        const fresh: Mailbox = { orderId, letters: [], space: Latch.makeUnsafe(), running: false, current: undefined }
        mailboxes.set(orderId, fresh)
        return fresh
      }

      const offer = (mailbox: Mailbox, letter: Letter): boolean => {
        if (mailbox.letters.length >= limits.mailbox_size) return false
        mailbox.letters.push(letter)
        waiting += 1
        if (!mailbox.running) {
          mailbox.running = true
          fork(empty(mailbox))
        }
        return true
      }

      // Ends when no letter is left; the next offer starts another.
      const empty = Effect.fnUntraced(function* (mailbox: Mailbox) {
        while (mailbox.letters.length > 0) {
          const letter = mailbox.letters.shift()!
          waiting -= 1
          mailbox.space.openUnsafe()
          const exit = yield* Effect.exit(handle(mailbox, letter))
          Deferred.doneUnsafe(letter.reply, exit)
        }
        mailbox.running = false
      })

      const handle = Effect.fnUntraced(function* (mailbox: Mailbox, { command, deadline, provenance }: Letter) {
        const { orderId } = mailbox
        const { commandId } = provenance
        for (let round = 0; ; round++) {
          const now = yield* Clock.currentTimeMillis
          if (deadline !== null && now >= deadline) return yield* new NotConfirmed({})
          // A new order costs no look-up: its append says so if it is not new.
          const guessed = mailbox.current === undefined && command._tag === "PlaceOrder" && round === 0
          const stored = mailbox.current === undefined && !guessed
          const stream = mailbox.current ?? (guessed ? emptyStream : yield* loadPatiently(orderId, deadline))
          // Nothing is remembered of an id without a stream: another process may place it.
          mailbox.current = stream.version === 0 ? undefined : stream
          if (HashSet.has(stream.commandIds, commandId)) return { stream, events: [] }

          const decided = decide(stream.order, command)
          if (Result.isFailure(decided) || decided.success.length === 0) {
            if (!stored && !isOldNews(stream, command) && !(yield* isAtHead(orderId, stream, deadline))) {
              mailbox.current = undefined
              continue
            }
            return Result.isFailure(decided) ? yield* decided.failure : { stream, events: [] }
          }

          const events = decided.success
          const after = events.reduce((order, event) => evolve(order, event, command.at), stream.order)
          const sealed = seal(
            { streamId: orderId, version: stream.version, hash: stream.headHash },
            events,
            provenance,
            command.at,
            (index) => `${commandId}/${index}`
          )
          const requestHash = stream.version === 0 && after.request !== null ? requestHashOf(after.request) : null
          const appended = yield* Effect.result(
            store.append({
              streamId: orderId,
              expected: stream.version,
              commandId: commandId,
              events: sealed,
              previousHash: stream.headHash,
              requestHash,
              order: { before: stream.order, after },
              // Cancels are never shed: they go with the engine's own commands.
              priority: command._tag === "PlaceOrder" ? "intake" : "engine"
            })
          )
          if (Result.isSuccess(appended)) {
            const next: OrderStream = {
              order: after,
              version: stream.version + events.length,
              headHash: sealed[sealed.length - 1]!.hash,
              requestHash: requestHash ?? stream.requestHash,
              commandIds: HashSet.add(stream.commandIds, commandId)
            }
            mailbox.current = next
            if (command._tag === "StartSubmission" && after.clientOrderId !== null)
              sent.set(after.clientOrderId, orderId)
            return { stream: next, events }
          }
          mailbox.current = undefined
          switch (appended.failure._tag) {
            case "VersionConflict":
              yield* Effect.sleep(yield* Random.nextBetween(0, raceJitterMillis * Math.min(round + 1, 10)))
              break
            case "LaneFull":
              if (command._tag === "PlaceOrder") return yield* new Busy({})
              yield* Effect.sleep(laneFullPauseMillis)
              break
            case "Unstorable":
              // Text is cleaned where it enters, so this is a bug of ours and not a case.
              return yield* Effect.die(appended.failure)
          }
        }
      })

      const loadPatiently = Effect.fnUntraced(function* (orderId: OrderId, deadline: EpochMillis | null) {
        for (let pause = loadPauseMillis; ; pause = Math.min(pause * 2, loadPauseMaxMillis)) {
          const loaded = yield* Effect.result(withinDeadline(store.load(orderId), deadline))
          if (Result.isSuccess(loaded)) return yield* readable(orderId, loaded.success)
          if (deadline !== null && (yield* Clock.currentTimeMillis) >= deadline) return yield* new NotConfirmed({})
          yield* Effect.sleep(pause)
        }
      })

      const readable = Effect.fnUntraced(function* (orderId: OrderId, loaded: LoadedStream) {
        const replayed = replay(loaded)
        if (Result.isSuccess(replayed)) return replayed.success
        const { event, why } = replayed.failure
        yield* parkUnread(orderId, event, loaded.events.at(-1)!, why)
        return yield* new Rejection({ code: "PARKED", message: why })
      })

      // What the order is now, this release cannot tell; that it is parked is true in every state, and its row stays
      // as whoever could read it has left it. Lost races are no matter: the next one who looks at it parks it.
      const parkUnread = Effect.fnUntraced(
        function* (orderId: OrderId, event: StoredEvent, last: StoredEvent, why: string) {
          const row = yield* blotter.find(orderId)
          if (row === null || row.parked || row.version !== last.version) return
          const at = yield* Clock.currentTimeMillis
          const commandId = yield* random.uuidV4()
          const events = seal(
            { streamId: orderId, version: last.version, hash: last.hash },
            [OrderEvent.cases.OrderParked.make({ reason: why, record: JSON.stringify(event) })],
            provenanceOf("engine", null, commandId),
            at,
            (index) => `${commandId}/${index}`
          )
          const parked = { ...row, parked: true, dueAt: null, updatedAt: at, version: last.version + 1 }
          yield* store.append({
            streamId: orderId,
            expected: last.version,
            commandId,
            events,
            previousHash: last.hash,
            requestHash: null,
            order: { row: parked },
            priority: "engine"
          })
          yield* Effect.logError(`an order is parked: ${why}`, { orderId })
        },
        Effect.catch((error) => Effect.logWarning("an order that cannot be read could not be parked yet", error))
      )

      // Whoever waits with a deadline does not wait longer for one read.
      const withinDeadline = <A, E>(read: Effect.Effect<A, E>, deadline: EpochMillis | null) =>
        deadline === null ? read : Effect.timeout(read, limits.command_deadline_ms)

      const isAtHead = Effect.fnUntraced(function* (
        orderId: OrderId,
        stream: OrderStream,
        deadline: EpochMillis | null
      ) {
        for (let pause = loadPauseMillis; ; pause = Math.min(pause * 2, loadPauseMaxMillis)) {
          const head = yield* Effect.result(withinDeadline(store.head(orderId), deadline))
          if (Result.isSuccess(head)) {
            return (head.success?.version ?? 0) === stream.version && (head.success?.hash ?? "") === stream.headHash
          }
          if (deadline !== null && (yield* Clock.currentTimeMillis) >= deadline) return yield* new NotConfirmed({})
          yield* Effect.sleep(pause)
        }
      })

      // From outside: a full mailbox is told at once, and the caller leaves at the deadline.
      const ask = Effect.fnUntraced(function* (
        orderId: OrderId,
        command: Command,
        traceParent: string | null,
        actor = "client"
      ) {
        const reply = Deferred.makeUnsafe<Told, Rejection | NotConfirmed | Busy>()
        const commandId = yield* random.uuidV4()
        // Counted from here, so that callers come in the order of their deadlines.
        const deadline = (yield* Clock.currentTimeMillis) + limits.command_deadline_ms
        const taken = offer(mailboxOf(orderId), {
          command,
          provenance: provenanceOf(actor, traceParent, commandId),
          deadline,
          reply
        })
        if (!taken) return yield* new Busy({})
        const waiting = { deadline, giveUp: () => Deferred.doneUnsafe(reply, Exit.fail(new NotConfirmed({}))) }
        deadlines.add(waiting)
        return yield* Deferred.await(reply).pipe(Effect.ensuring(Effect.sync(() => deadlines.remove(waiting))))
      })

      const tell = Effect.fnUntraced(function* (orderId: OrderId, command: Command) {
        const letter: Letter = {
          command,
          provenance: provenanceOf("engine", null, yield* random.uuidV4()),
          deadline: null,
          reply: Deferred.makeUnsafe()
        }
        while (!offer(mailboxOf(orderId), letter)) {
          const { space } = mailboxOf(orderId)
          space.closeUnsafe()
          yield* space.await
        }
        const told = yield* Deferred.await(letter.reply).pipe(
          // Both belong to callers with a deadline.
          Effect.catchTags({ Busy: Effect.die, NotConfirmed: Effect.die })
        )
        if (command._tag === "RecordReport") yield* lateEvidence.observe(orderId, told, command.report)
        return told
      })

      // Of an order that was found at the exchange alone nobody knows the id it was placed under, but whoever names that
      // id makes the same client order id from it. Nearly no store has any.
      const streamOf = (orderId: OrderId): OrderId => {
        if (imported.size === 0) return orderId
        const clientOrderId = clientOrderIdOf(storeId, orderId)
        return imported.has(clientOrderId) ? OrderId.make(clientOrderId) : orderId
      }

      const placedBefore = Effect.fnUntraced(function* (streamId: OrderId, request: OrderRequest) {
        const stream = yield* loadPatiently(streamId, (yield* Clock.currentTimeMillis) + limits.command_deadline_ms)
        if (stream.order.request !== null && isSameOnceSent(stream.order.request, request)) {
          return { order: stream, replayed: true }
        }
        return yield* new Rejection({
          code: "ORDER_ID_TAKEN",
          message: "this id belongs to an order with another body, which the exchange has; use a new id"
        })
      })

      const bringBack = Effect.fnUntraced(function* ({
        commandId,
        events,
        occurredAt,
        streamId,
        traceParent,
        version
      }: Lost) {
        const replayed = replay(yield* store.load(streamId))
        if (Result.isFailure(replayed)) {
          return yield* new CannotBringBack({ streamId, detail: "this release cannot read what the log has of them" })
        }
        const stream = replayed.success
        if (stream.version + 1 !== version) {
          const detail = `version ${version} does not follow version ${stream.version}`
          return yield* new CannotBringBack({ streamId, detail })
        }
        const after = events.reduce(
          (order, { event }) => (isOrderEvent(event) ? evolve(order, event, occurredAt) : order),
          stream.order
        )
        const sealed = seal(
          { streamId, version: stream.version, hash: stream.headHash },
          events.map(({ event }) => event),
          provenanceOf("recovery", traceParent, commandId),
          occurredAt,
          (index) => events[index]!.eventId
        )
        const isAccount = streamId === accountStream
        yield* store
          .append({
            streamId,
            expected: stream.version,
            commandId,
            events: sealed,
            previousHash: stream.headHash,
            requestHash: stream.version === 0 && after.request !== null ? requestHashOf(after.request) : null,
            order: isAccount ? null : { before: stream.order, after },
            priority: "engine"
          })
          .pipe(
            Effect.mapError(({ _tag }) => new CannotBringBack({ streamId, detail: `the append was refused: ${_tag}` }))
          )
      })

      const place = Effect.fnUntraced(function* (input: {
        readonly orderId: OrderId
        readonly request: OrderRequest
        readonly traceParent: string | null
      }) {
        const { request, traceParent } = input
        const orderId = streamOf(input.orderId)
        if (orderId !== input.orderId) return yield* placedBefore(orderId, request)
        const now = yield* Clock.currentTimeMillis
        const snapshot = yield* instruments.current
        const instrument = snapshot?.bySymbol.get(request.symbol)
        const violations = snapshot === null ? [] : checkStatic(instrument, request)
        const full = yield* backlog.isFull
        const broken = yield* backlog.broken
        if (snapshot === null || violations.length > 0 || full || broken !== null) {
          // Identity before judgement: an id that has a stream is answered from it, whatever today's rules say.
          const isNew = yield* isAtHead(orderId, emptyStream, now + limits.command_deadline_ms)
          if (isNew && broken !== null) return yield* broken
          if (isNew && snapshot === null) return yield* new InstrumentsUnknown({})
          if (isNew && violations.length > 0) return yield* new FilterDenied({ violations })
          if (isNew) return yield* new Busy({})
        }
        const told = yield* ask(
          orderId,
          {
            _tag: "PlaceOrder",
            at: now,
            request,
            clientOrderId: clientOrderIdOf(storeId, orderId),
            instrumentVersion: snapshot?.version ?? 0,
            staleAt: request.validUntil ?? now + execution.max_age_ms,
            denial: null
          },
          traceParent
        )
        return { order: told.stream, replayed: told.events.length === 0 }
      })

      const cancel = Effect.fnUntraced(function* (input: {
        readonly orderId: OrderId
        readonly traceParent: string | null
      }) {
        const at = yield* Clock.currentTimeMillis
        const told = yield* ask(
          streamOf(input.orderId),
          { _tag: "CancelOrder", at, reason: "cancelled by the client" },
          input.traceParent
        )
        const ended = told.stream.order.status === "CANCELLED"
        const outcome = !ended
          ? ("requested" as const)
          : told.events.length > 0
            ? ("cancelled" as const)
            : ("already_cancelled" as const)
        return { order: told.stream, outcome }
      })

      const resolve: Engine["Service"]["resolve"] = Effect.fnUntraced(function* ({ orderId, ...decision }) {
        const told = yield* ask(
          streamOf(orderId),
          {
            _tag: "ResolveOrder",
            at: yield* Clock.currentTimeMillis,
            margins: { deltaMillis: margins.delta_ms, stalenessMillis: margins.staleness_ms },
            ...decision
          },
          null,
          "operator"
        )
        return told.stream
      })

      const unpark: Engine["Service"]["unpark"] = Effect.fnUntraced(function* ({ orderId, ...word }) {
        const command: Command = { _tag: "UnparkOrder", at: yield* Clock.currentTimeMillis, ...word }
        const { events, stream } = yield* ask(streamOf(orderId), command, null, "operator")
        return { stream, wasParked: events.length > 0 }
      })

      const read = Effect.fnUntraced(function* (orderId: OrderId) {
        const cached = mailboxes.get(orderId)?.current
        if (cached !== undefined) {
          const head = yield* store.head(orderId)
          if (head?.version === cached.version && head.hash === cached.headHash) return cached
        }
        const stream = yield* readable(orderId, yield* store.load(orderId))
        return stream.version === 0 ? null : stream
      })

      const lastSeen = (orderId: OrderId) => Effect.sync(() => mailboxes.get(orderId)?.current ?? null)

      const recordAccount = (decideOn: (version: number) => AccountEvent | null) =>
        Effect.gen(function* () {
          while (true) {
            const head = yield* store.head(accountStream).pipe(
              Effect.tapError(() => Effect.sleep(loadPauseMaxMillis)),
              Effect.eventually
            )
            const event = decideOn(head?.version ?? 0)
            if (event === null) return
            const commandId = yield* random.uuidV4()
            const sealed = seal(
              { streamId: accountStream, version: head?.version ?? 0, hash: head?.hash ?? "" },
              [event],
              provenanceOf("engine", null, commandId),
              yield* Clock.currentTimeMillis,
              (index) => `${commandId}/${index}`
            )
            const appended = yield* Effect.result(
              store.append({
                streamId: accountStream,
                expected: head?.version ?? 0,
                commandId,
                events: sealed,
                previousHash: head?.hash ?? "",
                requestHash: null,
                order: null,
                priority: "engine"
              })
            )
            if (Result.isSuccess(appended)) return
            if (appended.failure._tag === "Unstorable") return yield* Effect.die(appended.failure)
            yield* Effect.sleep(laneFullPauseMillis)
          }
        }).pipe(accountLock.withPermit)

      return Engine.of({
        place,
        cancel,
        resolve,
        unpark,
        bringBack,
        streamOf,
        tell,
        read,
        lastSeen,
        orderIdOf: (clientOrderId) => Effect.sync(() => sent.get(clientOrderId) ?? null),
        recordAccount,
        load: Effect.sync(() => ({ cached: mailboxes.size(), waiting, lateEvidence: lateEvidence.count() }))
      })
    })
  )
}

// An end is absorbing and trades only grow: what is nothing new to an ended copy is nothing new to the stored order.
const isOldNews = ({ order }: OrderStream, command: Command): boolean =>
  command._tag === "RecordReport" && isEnded(order)
