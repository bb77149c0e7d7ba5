import { createHmac } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { endpoints } from "../../src/simulator/endpoints.ts"
import { type Arrival, admit, checkTime } from "../../src/simulator/Gate.ts"
import { Keyring } from "../../src/simulator/Keyring.ts"
import { type Complaint, openQuestions } from "../../src/simulator/openQuestions.ts"
import { parseForms } from "../../src/simulator/Parameters.ts"
import { isRefusal, type Refusal } from "../../src/simulator/Refusal.ts"

const now = 1_700_000_000_000
const keyring = new Keyring({ apiKey: "key", apiSecret: "secret" })
const endpointOf = (name: string) => endpoints.find(({ rest }) => rest === name)!
const openOrders = endpointOf("GET /api/v3/openOrders")
const serverTime = endpointOf("GET /api/v3/time")

const arrivalOf = (form: string, more: Partial<Arrival> = {}): Arrival => ({
  ...parseForms(form, ""),
  apiKey: "key",
  signature: createHmac("sha256", "secret").update(form).digest("hex"),
  credentials: 1,
  payload: form,
  isEncoded: true,
  ...more
})

const asked = (form: string, more: Partial<Arrival> = {}, endpoint = openOrders): Refusal | undefined => {
  const admitted = admit(endpoint, arrivalOf(form, more), keyring, now)
  return isRefusal(admitted) ? admitted : undefined
}

describe("time, at whichever of the three moments it is looked at", () => {
  const tooOld = "Timestamp for this request is outside of the recvWindow."
  const tooEarly = "Timestamp for this request was 1000ms ahead of the server's time."

  it.each<[what: string, timestamp: string, recvWindow: string | undefined, message: string | undefined]>([
    ["of this moment", `${now}`, undefined, undefined],
    ["as old as the default window", `${now - 5_000}`, undefined, undefined],
    ["older than the default window", `${now - 5_001}`, undefined, tooOld],
    ["as old as a window of its own", `${now - 60_000}`, "60000", undefined],
    ["older than a window of its own", `${now - 101}`, "100", tooOld],
    ["999 ms ahead", `${now + 999}`, undefined, undefined],
    ["1000 ms ahead", `${now + 1_000}`, undefined, tooEarly],
    ["more than 10 s ahead", `${now + 10_001}`, undefined, tooEarly],
    ["in microseconds", `${now}000`, undefined, undefined],
    ["a microsecond less than 1000 ms ahead", `${now + 999}999`, undefined, undefined],
    ["as old as a window with three decimals", `${now - 101}655`, "100.345", undefined],
    ["a microsecond older than a window with three decimals", `${now - 101}654`, "100.345", tooOld],
    ["of a server whose window is nothing", `${now}`, "0", undefined],
    ["in seconds", `${now / 1_000}`, undefined, tooOld],
    ["of 17 digits", `${now}0000`, undefined, tooOld],
    ["before 2017", "1483228799999", "60000", tooOld]
  ])("a timestamp %s", (_, timestamp, recvWindow, message) => {
    const refusal = checkTime(timestamp, recvWindow, now)

    assert.strictEqual(refusal?.message, message)
    assert.strictEqual(refusal?.code, message === undefined ? undefined : -1021)
  })
})

describe("complaints of the gate", () => {
  const good = `timestamp=${now}`

  it.each<[what: string, form: string, more: Partial<Arrival>, status: number, code: number, message: string]>([
    ["no timestamp", "recvWindow=5000", {}, 400, -1102, "Mandatory parameter 'timestamp' was not sent"],
    ["an empty timestamp", "timestamp=", {}, 400, -1102, "Mandatory parameter 'timestamp'"],
    [
      "a timestamp that is no number",
      "timestamp=now",
      {},
      400,
      -1100,
      "Illegal characters found in parameter 'timestamp'"
    ],
    ["a window that is no number", `${good}&recvWindow=all`, {}, 400, -1100, "found in parameter 'recvWindow'"],
    ["a window with four decimals", `${good}&recvWindow=1.2345`, {}, 400, -1100, "'recvWindow'; legal range is"],
    ["a window above 60000", `${good}&recvWindow=60000.001`, {}, 400, -1102, "Cannot be greater than 60000."],
    ["a time too old", `timestamp=${now - 5_001}`, {}, 400, -1021, "outside of the recvWindow."],
    ["a time too far ahead", `timestamp=${now + 1_000}`, {}, 400, -1021, "1000ms ahead of the server's time."],
    ["no signature", good, { signature: undefined }, 400, -1102, "Mandatory parameter 'signature'"],
    ["an empty signature", good, { signature: "" }, 400, -1102, "Mandatory parameter 'signature'"],
    ["a wrong signature", good, { signature: "0".repeat(64) }, 400, -1022, "Signature for this request is not valid."],
    ["bytes that were not encoded", `${good}&symbol=é`, {}, 400, -1022, "Signature for this request is not valid."],
    ["no key", good, { apiKey: undefined }, 401, -2014, "API-key format invalid."],
    ["a key of the wrong shape", good, { apiKey: "a b" }, 401, -2014, "API-key format invalid."],
    ["an unknown key", good, { apiKey: "other" }, 401, -2015, "Invalid API-key, IP, or permissions for action."],
    ["an unread parameter", `${good}&foo=1`, {}, 400, -1104, "read '2' parameter(s) but was sent '3'."],
    ["more parameters than there are", `${good}&a=1&b=2&c=3&d=4`, {}, 400, -1101, "expected '4' and received '6'."],
    ["a parameter twice", `${good}&symbol=A&symbol=A`, {}, 400, -1101, "Duplicate values for a parameter detected."],
    [
      "a number of more than 64 bits",
      `${good}&symbol=A`,
      {
        values: new Map([
          ["orderId", "9".repeat(20)],
          ["symbol", "A"],
          ["timestamp", `${now}`]
        ])
      },
      400,
      -1108,
      "'orderId' overflowed."
    ]
  ])("%s", (what, form, more, status, code, message) => {
    const refusal = asked(form, more, what.startsWith("a number") ? endpointOf("GET /api/v3/allOrders") : openOrders)

    assert.deepInclude(refusal, { status, code })
    assert.include(refusal?.message, message)
  })

  it("a request without fault passes, signed or not, and says by which key", () => {
    assert.deepInclude(admit(openOrders, arrivalOf(good), keyring, now), { keyKind: "HMAC_SHA256" })
    assert.deepInclude(
      admit(serverTime, arrivalOf("", { apiKey: undefined, signature: undefined, credentials: 0 }), keyring, now),
      {
        keyKind: undefined
      }
    )
  })

  it("public requests complain about their parameters too", () => {
    const unsigned = { apiKey: undefined, signature: undefined, credentials: 0 }

    assert.strictEqual(
      asked("foo=1", unsigned, serverTime)?.message,
      "Too many parameters; expected '0' and received '1'."
    )
    assert.strictEqual(asked("foo=1&symbol=A", unsigned, endpointOf("GET /api/v3/depth"))?.code, -1104)
    assert.strictEqual(asked("symbol=A", { credentials: 1 }, endpointOf("GET /api/v3/depth"))?.code, -1104)
    assert.strictEqual(asked("limit=1", unsigned, endpointOf("GET /api/v3/depth"))?.code, -1102)
  })

  it("a session stands for key and signature, never for the timestamp", () => {
    const ofSession = { apiKey: undefined, signature: undefined, credentials: 0, session: "ED25519" as const }

    assert.isUndefined(asked(good, ofSession))
    assert.strictEqual(asked("", ofSession)?.code, -1102)
    assert.strictEqual(asked(`timestamp=${now - 6_000}`, ofSession)?.code, -1021)
    assert.strictEqual(asked(good, { ...ofSession, apiKey: "other", signature: "0" })?.code, -2015)
  })
})

describe("of several faults the first in the table is told", () => {
  const faults: Readonly<Record<Complaint, (form: string, arrival: Partial<Arrival>) => [string, Partial<Arrival>]>> = {
    keyForm: (form, more) => [form, { ...more, apiKey: "" }],
    duplicates: (form, more) => [`${form}&recvWindow=1&recvWindow=1`, more],
    tooMany: (form, more) => [`${form}&a=1&b=2&c=3&d=4`, more],
    parameters: (form, more) => [`${form}&symbol=`, more],
    unread: (form, more) => [`${form}&foo=1`, more],
    time: (form, more) => [form.replace(`${now}`, `${now - 60_000}`), more],
    signature: (form, more) => [form, { ...more, payload: "é" }],
    key: (form, more) => [form, { ...more, apiKey: more.apiKey ?? "other" }]
  }
  const codes: Readonly<Record<Complaint, number>> = {
    keyForm: -2014,
    duplicates: -1101,
    tooMany: -1101,
    parameters: -1105,
    unread: -1104,
    time: -1021,
    signature: -1022,
    key: -2015
  }

  it.each(openQuestions.complaints.map((complaint, at) => [complaint, at] as const))("from %s on", (complaint, at) => {
    let [form, more]: [string, Partial<Arrival>] = [`timestamp=${now}`, {}]
    for (const later of openQuestions.complaints.slice(at)) [form, more] = faults[later](form, more)

    assert.strictEqual(asked(form, more)?.code, codes[complaint])
  })
})
