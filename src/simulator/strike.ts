/**
 * Lets one fault happen to one request, over REST and over the WebSocket API alike.
 *
 * What the client sees is the edge's business (`Struck`); when the engine does the request is decided here. A request
 * that is done late was admitted in time: nobody looks at its timestamp again, as inside the exchange's engine.
 */
import type { Run, Twist } from "./Endpoint.ts"
import { drawn, type Done, type FaultKind, type Strike } from "./Faults.ts"
import { checkTime } from "./Gate.ts"
import { forbiddenPage, gonePage, htmlPage, type Page } from "./pages.ts"
import type { Random } from "./Random.ts"
import { inDoubt, isRefusal, Refusal } from "./Refusal.ts"
import type { Service } from "./Service.ts"

/** One request as a fault sees it. */
export interface Struck<Outcome> {
  readonly values: ReadonlyMap<string, string>
  /** The checks at the door. */
  readonly prepare: () => Run | Refusal
  readonly finish: (run: Run | Refusal, twist?: Twist) => Outcome
  readonly refuse: (refusal: Refusal) => Outcome
  readonly textOf: (outcome: Outcome) => string
  readonly answer: (outcome: Outcome) => void
  readonly page: (page: Page) => void
  readonly cut: (withReset: boolean) => void
  /** Counts as an order though it was refused. */
  readonly chargeLate: (refusal: Refusal) => void
}

const json = "application/json;charset=UTF-8"
const failures = {
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Temporarily Unavailable",
  504: "Gateway Time-out"
} as const
/** A wait for a moment of the exchange's clock looks this often whether that clock was set. */
const lookMillis = 20
const defaultRecvWindow = 5_000
const microsDigits = 16

export const strike = <Outcome>(service: Service, struck: Struck<Outcome>, { fault, random }: Strike): void => {
  const after = (done: Done | undefined, then: (outcome: Outcome | undefined) => void): void =>
    doIt(service, struck, done ?? "now", random, then)
  switch (fault.kind) {
    case "neverArrives":
      return struck.cut(false)
    case "answerLost":
      return after(fault.done, () => struck.cut(fault.reset === true))
    case "hangs":
      return after(fault.done, () => {})
    case "answerCut":
      return after(fault.done, (outcome) => {
        const text = outcome === undefined ? "{}" : struck.textOf(outcome)
        struck.page({ status: 200, type: json, text: text.slice(0, text.length / 2), isCut: true })
      })
    case "answerGarbled":
      return after(fault.done, (outcome) =>
        struck.page(garbled(fault.how, outcome === undefined ? "{}" : struck.textOf(outcome)))
      )
    case "answerLate": {
      const outcome = struck.finish(struck.prepare())
      return service.settled(() => service.timers.after(drawn(fault.millis, random), () => struck.answer(outcome)))
    }
    case "held":
      return hold(service, struck, fault, random)
    case "unavailable": {
      const status = fault.status ?? 503
      return after(fault.done, () => struck.page(htmlPage(status, failures[status])))
    }
    case "timeout":
      return after(fault.done, () => struck.answer(struck.refuse(inDoubt(fault.code ?? -1007))))
    case "gone":
      return struck.page(gonePage)
    case "blocked":
      return struck.page(forbiddenPage)
    case "refused": {
      const { code, message, retryAfterSeconds, status } = fault
      return struck.page({
        status,
        type: json,
        text: JSON.stringify({ code, msg: message }),
        ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds })
      })
    }
    case "filledFirst": {
      const outcome = struck.finish(struck.prepare(), { fillsFirst: fault.share ?? "whole" })
      return service.settled(() => struck.answer(outcome))
    }
    case "halved": {
      let place = (): void => {}
      struck.finish(struck.prepare(), { fillsFirst: undefined, putsOff: (later) => (place = later) })
      service.settled(() => {})
      return when(service, struck.values, fault.placed ?? "never", random, () => service.outside(place))
    }
    case "crash":
      if (fault.when === "arrived") return service.crash()
      struck.finish(struck.prepare())
      return service.settled(() => service.crash())
  }
}

// What is done later is admitted now; `then` runs now, for the client is told before the outcome exists.
const doIt = <Outcome>(
  service: Service,
  struck: Struck<Outcome>,
  done: Done,
  random: Random,
  then: (outcome: Outcome | undefined) => void
): void => {
  if (done === "now") {
    const outcome = struck.finish(struck.prepare())
    return service.settled(() => then(outcome))
  }
  const run = struck.prepare()
  service.settled(() => then(undefined))
  when(service, struck.values, done, random, () => service.outside(() => void struck.finish(run)))
}

const when = (
  service: Service,
  values: ReadonlyMap<string, string>,
  done: Done,
  random: Random,
  then: () => void
): void => {
  if (done === "never") return
  if (done === "now") return then()
  if ("afterMillis" in done) service.timers.after(drawn(done.afterMillis, random), then)
  else atMoment(service, deadlineOf(values) + drawn(done.afterDeadlineMillis, random), then)
}

type Held = Extract<FaultKind, { readonly kind: "held" }>

// The first check is passed at the door. Waiting before the second or before the third comes to the same for the
// client, but that the second has been passed by then.
const hold = <Outcome>(service: Service, struck: Struck<Outcome>, fault: Held, random: Random): void => {
  const run = struck.prepare()
  const check = (): Refusal | undefined =>
    isRefusal(run)
      ? undefined
      : checkTime(struck.values.get("timestamp") ?? "", struck.values.get("recvWindow"), service.now())
  const go = (): void => {
    const untimely = check()
    if (untimely !== undefined) struck.chargeLate(untimely)
    const outcome = struck.finish(untimely ?? run)
    service.settled(() => struck.answer(outcome))
  }
  if (isRefusal(run) || (fault.check === "third" && check() !== undefined)) return go()
  if (fault.millis !== undefined) service.timers.after(drawn(fault.millis, random), go)
  else atMoment(service, deadlineOf(struck.values) + drawn(fault.beyondDeadlineMillis ?? 1, random), go)
}

const deadlineOf = (values: ReadonlyMap<string, string>): number => {
  const timestamp = values.get("timestamp") ?? ""
  const sent = timestamp.length === microsDigits ? Number(timestamp) / 1_000 : Number(timestamp)
  return sent + Number(values.get("recvWindow") ?? defaultRecvWindow)
}

/** At a moment of the exchange's own clock, also when that is set meanwhile; at once when it is past. */
const atMoment = (service: Service, moment: number, then: () => void): void => {
  const left = moment - service.now()
  if (!(left > 0)) return then()
  service.timers.after(Math.min(left, lookMillis), () => atMoment(service, moment, then))
}

const garbled = (how: "short" | "html" | "empty" | "wrongType", text: string): Page => {
  switch (how) {
    case "short":
      return { status: 200, type: json, text: text.slice(0, Math.max(1, text.length / 2)) }
    case "html":
      return htmlPage(200, "OK")
    case "empty":
      return { status: 200, type: json, text: "" }
    case "wrongType":
      return { status: 200, type: "text/plain", text }
  }
}
