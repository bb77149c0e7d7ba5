/**
 * The parameters of one request, read one by one.
 *
 * The first complaint is kept and the rest of the reading goes on, so that an endpoint reads straight through and
 * asks once whether all was well. What nobody read is a complaint of its own.
 */
import {
  emptyParameter,
  illegalCharacters,
  invalidValue,
  mandatory,
  notAllRead,
  overflowed,
  type Refusal,
  tooManyParameters
} from "./Refusal.ts"

const decimalForm = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"
const wholeForm = "^[0-9]{1,20}$"
const clientIdForm = "^[a-zA-Z0-9-_]{1,36}$"
const symbolForm = "^[A-Z0-9-_.]{1,20}$"
const recvWindowForm = "^[0-9]{1,20}(\\.[0-9]{1,3})?$"

/** The greatest number of 64 bits, and its digits. */
const greatestLong = 2n ** 63n - 1n
const longDigits = 19
/** No millisecond of this era has so many digits: 16 mean microseconds. */
const firstMicros = 1e15

const decimal = new RegExp(decimalForm)
const whole = new RegExp(wholeForm)
const clientId = new RegExp(clientIdForm)
const recvWindow = new RegExp(recvWindowForm)
// The testnet has a symbol outside ASCII; whether a symbol is known is asked later.
const symbol = /^[A-Z0-9\-_.\u0080-\uffff]{1,20}$/

export class Parameters {
  readonly #values: ReadonlyMap<string, string>
  readonly #more: number
  /** How many names have been asked for, and how many of them were sent. */
  #wanted = 0
  #read = 0
  #fault: Refusal | undefined

  /** `more`: how many came besides, which the gate reads itself where it wants them: key and signature. */
  constructor(values: ReadonlyMap<string, string>, more = 0) {
    this.#values = values
    this.#more = more
  }

  /** The first complaint about what was read. */
  fault(): Refusal | undefined {
    return this.#fault
  }

  /** More than the request could take, whatever they are; the gate takes so many itself. */
  tooMany(taken: number): Refusal | undefined {
    const sent = this.#values.size + this.#more
    const most = this.#wanted + taken
    return sent > most ? tooManyParameters(most, sent) : undefined
  }

  /** The complaint about what nobody wanted, at the gate or behind it. */
  unread(isTaken = false): Refusal | undefined {
    const sent = this.#values.size + this.#more
    const read = this.#read + (isTaken ? this.#more : 0)
    return read < sent ? notAllRead(read, sent) : undefined
  }

  text(name: string): string | undefined {
    this.#wanted++
    const value = this.#values.get(name)
    if (value === undefined) return undefined
    this.#read++
    if (value === "") this.#complain(emptyParameter(name))
    return value
  }

  mandatoryText(name: string): string {
    this.#wanted++
    const value = this.#values.get(name)
    if (value === undefined || value === "") {
      this.#complain(mandatory(name))
      return ""
    }
    this.#read++
    return value
  }

  symbol(): string {
    return this.#matching("symbol", this.mandatoryText("symbol"), symbol, symbolForm)
  }

  symbolIfSent(): string | undefined {
    const value = this.text("symbol")
    return value === undefined ? undefined : this.#matching("symbol", value, symbol, symbolForm)
  }

  decimal(name: string): string | undefined {
    return this.#form(name, decimal, decimalForm)
  }

  clientId(name: string): string | undefined {
    return this.#form(name, clientId, clientIdForm)
  }

  recvWindow(): string | undefined {
    return this.#form("recvWindow", recvWindow, recvWindowForm)
  }

  timestamp(): string {
    return this.#matching("timestamp", this.mandatoryText("timestamp"), whole, wholeForm)
  }

  whole(name: string): number | undefined {
    const value = this.#form(name, whole, wholeForm)
    if (value === undefined) return undefined
    if (value.length >= longDigits && BigInt(value) > greatestLong) this.#complain(overflowed(name))
    return Number(value)
  }

  /** A time in epoch milliseconds, or in microseconds when it has as many digits; gives milliseconds. */
  moment(name: string): number | undefined {
    const value = this.whole(name)
    return value === undefined || value < firstMicros ? value : Math.floor(value / 1_000)
  }

  flag(name: string): boolean {
    const value = this.text(name)
    if (value !== undefined && value !== "" && value !== "true" && value !== "false") this.#complain(invalidValue(name))
    return value === "true"
  }

  /** Complains that a parameter which must be there is not. */
  missing(name: string): undefined {
    this.#complain(mandatory(name))
    return undefined
  }

  /** Reads and ignores, as the exchange does with what concerns features that are not asked about here. */
  known(...names: ReadonlyArray<string>): void {
    this.#wanted += names.length
    for (const name of names) if (this.#values.has(name)) this.#read++
  }

  #form(name: string, form: RegExp, range: string): string | undefined {
    const value = this.text(name)
    return value === undefined ? undefined : this.#matching(name, value, form, range)
  }

  #matching(name: string, value: string, form: RegExp, range: string): string {
    if (value !== "" && !form.test(value)) this.#complain(illegalCharacters(name, range))
    return value
  }

  #complain(refusal: Refusal): void {
    this.#fault ??= refusal
  }
}

export interface Forms {
  readonly values: Map<string, string>
  /** A name came twice in one place; the values are then not to be trusted. */
  readonly hasDuplicates: boolean
}

/** Parameters of the query and of a form body; a name in both has the query's value. */
export const parseForms = (query: string, body: string): Forms => {
  const values = new Map<string, string>()
  let isWhole = body === "" || parseInto(values, body)
  if (query === "") return { values, hasDuplicates: !isWhole }
  const fromQuery = body === "" ? values : new Map<string, string>()
  isWhole = parseInto(fromQuery, query) && isWhole
  if (fromQuery !== values) for (const [name, value] of fromQuery) values.set(name, value)
  return { values, hasDuplicates: !isWhole }
}

/** False when a name came twice. */
const parseInto = (values: Map<string, string>, form: string): boolean => {
  for (const pair of form.split("&")) {
    if (pair === "") continue
    const cut = pair.indexOf("=")
    const name = unescapeForm(cut < 0 ? pair : pair.slice(0, cut))
    if (values.has(name)) return false
    values.set(name, cut < 0 ? "" : unescapeForm(pair.slice(cut + 1)))
  }
  return true
}

const malformedEscape = /%(?![0-9a-fA-F]{2})/

/** A name or a value of a form as it was meant; what is no escape stays as it is. */
export const unescapeForm = (text: string): string => {
  if (!text.includes("%") && !text.includes("+")) return text
  const spaced = text.replaceAll("+", " ")
  if (malformedEscape.test(spaced)) return spaced
  // Bytes that are no UTF-8 become the replacement character, as in a browser's form.
  return Buffer.from(
    spaced.replaceAll(/%([0-9a-fA-F]{2})|([^%]+)/g, (_, hex: string | undefined, plain: string | undefined) =>
      hex === undefined ? Buffer.from(plain!, "utf8").toString("latin1") : String.fromCharCode(Number.parseInt(hex, 16))
    ),
    "latin1"
  ).toString("utf8")
}
